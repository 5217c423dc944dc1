// One 128 x 128 tile of the logits x y^T on the tensor cores, and of the targets a b^T.
//
// A block has eight warps, 2 x 4; each holds 64 x 32 of the tile as 4 x 4 fragments of 16 x 8. Within a fragment lane l
// holds the entries (l / 4, 2 (l % 4)), the next column, and the same two eight rows further down.
//
// x and y stream through kStages pieces of shared memory, 32 columns each: rows of 64 bytes whose 16-byte chunks are
// permuted, so that neither the copies nor the matrix loads have bank conflicts. Rows beyond the end repeat the last
// one: no copy depends on a condition, and the epilogues leave such rows out.
#pragma once

#include <type_traits>

#include "../soft_contrastive.h"
#include "launch.h"
#include "primitives.cuh"

namespace mmclip {

constexpr float kLog2e = 1.4426950408889634f;
constexpr int kFragments = 4;       // of a warp, in each direction

using Fragments = float[kFragments][kFragments][4];

// Where this block's tile and this thread's entries are. Blocks start down the columns of tiles, so that those which run
// at once share a few columns of tiles and, in the cache, all rows of a chunk.
struct Place {
  int row, column;            // the tile's first
  int warp_row, warp_column;  // 0 to 1, 0 to 3
  int own_row, own_column;    // this thread's first entry within the tile

  __device__ __forceinline__ Place() {
    row = blockIdx.x * kTile;
    column = blockIdx.y * kTile;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    warp_row = warp % 2;
    warp_column = warp / 2;
    own_row = warp_row * 64 + lane / 4;
    own_column = warp_column * 32 + lane % 4 * 2;
  }

  // Within the tile: the row of fragment i (the second half eight rows down), the column of fragment j.
  __device__ __forceinline__ int row_of(int i, int half) const { return own_row + i * 16 + half * 8; }
  __device__ __forceinline__ int column_of(int j) const { return own_column + j * 8; }
};

// Whether every entry of the tile counts.
__device__ __forceinline__ bool whole(const TileArgs& in, const Place& at) {
  return in.excluded == nullptr && at.row + kTile <= in.rows && at.column + kTile <= in.columns;
}

// Whether some |S| or |T| may be too large for exponentials without a maximum; so it is when a bound is NaN.
__device__ __forceinline__ bool needs_maximum(const TileArgs& in, bool labels) {
  const float logits = fabsf(*in.logit_scale) * sqrtf(float_of(in.bounds[0])) * sqrtf(float_of(in.bounds[2]));
  const float norms = in.cosine ? 1.f : sqrtf(float_of(in.bounds[1])) * sqrtf(float_of(in.bounds[3]));
  return !(logits <= kStaticLimit) || (labels && !(fabsf(in.label_scale) * norms <= kStaticLimit));
}

// The place of a 16-byte chunk (0 to 3) of a row within a piece of x or y.
__device__ __forceinline__ int chunk_place(int row, int chunk) {
  return row * kDepth * 2 + ((chunk ^ (row / 2 % 4)) << 4);
}

// The place of a 16-byte chunk (0 or 1) of a row within one step of labels.
__device__ __forceinline__ int label_place(int row, int chunk) {
  return row * kLabelStep * 2 + ((chunk ^ (row / 4 % 2)) << 4);
}

// Starts the copy of the tile's labels: the rows' steps, then the columns'.
__device__ __forceinline__ void fetch_labels(const TileArgs& in, const Place& at, Shared labels) {
  const int line = threadIdx.x / 2, chunk = threadIdx.x % 2, steps = in.label_parts * in.label_steps;
  const int64_t row = min(at.row + line, in.rows - 1), column = min(at.column + line, in.columns - 1);
  const uint16_t* of_row = in.row_labels + row * steps * kLabelStep + chunk * 8;
  const uint16_t* of_column = in.column_labels + column * steps * kLabelStep + chunk * 8;
  const Shared to = labels + label_place(line, chunk);
  for (int step = 0; step < steps; ++step) {
    copy_async(to + step * kLabelStepBytes, of_row + step * kLabelStep);
    copy_async(to + (steps + step) * kLabelStepBytes, of_column + step * kLabelStep);
  }
}

// sums = x y^T of the tile. Copies started before are complete afterwards as well.
__device__ __forceinline__ void multiply(const TileArgs& in, const Place& at, Shared stages, Fragments& sums) {
  const int lane = threadIdx.x % 32, line = threadIdx.x / 4, chunk = threadIdx.x % 4;
  const int steps = in.depth / kDepth;

  // Each thread copies one chunk of two rows of x and of two rows of y, which lie a quarter of a stage apart.
  const uint16_t* from[4];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t row = min(at.row + line + half * 64, in.rows - 1);
    const int64_t column = min(at.column + line + half * 64, in.columns - 1);
    from[half] = in.x + row * in.depth + chunk * 8;
    from[2 + half] = in.y + column * in.depth + chunk * 8;
  }
  const Shared to = stages + chunk_place(line, chunk);
  const auto fetch = [&](int stage, int ahead) {
#pragma unroll
    for (int i = 0; i < 4; ++i) copy_async(to + stage * kStageBytes + i * (kStageBytes / 4), from[i] + ahead * kDepth);
  };

  // What each lane names to the matrix loads, for the first and the second 16 columns of a piece.
  Shared a_rows[2], b_rows[2];
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    a_rows[k] = stages + chunk_place(at.warp_row * 64 + lane % 16, 2 * k + lane / 16);
    b_rows[k] = stages + kStageBytes / 2 + chunk_place(at.warp_column * 32 + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2);
  }

#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) fetch(s, s);
    commit_copies();
  }
  for (int first = 0; first < steps; first += kStages) {
#pragma unroll
    for (int s = 0; s < kStages; ++s) {
      if (first + s >= steps) break;
      wait_for_copies<kStages - 2>();
      __syncthreads();  // the piece is there for all, and the one that is overwritten next has been used by all
      if (first + s + kStages - 1 < steps) fetch((s + kStages - 1) % kStages, s + kStages - 1);
      commit_copies();
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        uint32_t a[kFragments][4], b[kFragments / 2][4];
#pragma unroll
        for (int i = 0; i < kFragments; ++i) load_matrices(a[i], a_rows[k] + s * kStageBytes + i * 16 * kDepth * 2);
#pragma unroll
        for (int j = 0; j < kFragments / 2; ++j)
          load_matrices(b[j], b_rows[k] + s * kStageBytes + j * 16 * kDepth * 2);
#pragma unroll
        for (int i = 0; i < kFragments; ++i)
#pragma unroll
          for (int j = 0; j < kFragments; ++j)
            multiply_add(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) from[i] += kStages * kDepth;
  }
  wait_for_copies<0>();
}

// Turns products into logits in units of log2; entries that do not count become kLeftOut.
template <bool masked>
__device__ __forceinline__ void scale_logits(const TileArgs& in, const Place& at, Fragments& sums) {
  const float scale = *in.logit_scale * kLog2e;
#pragma unroll
  for (int i = 0; i < kFragments; ++i)
#pragma unroll
    for (int j = 0; j < kFragments; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        sums[i][j][e] *= scale;
        if (!masked) continue;
        const int row = at.row + at.row_of(i, e / 2), column = at.column + at.column_of(j) + e % 2;
        bool counts = row < in.rows && column < in.columns;
        if (counts && in.excluded != nullptr)
          counts = in.excluded[in.row_group[row] * in.groups + in.column_group[column]] == 0;
        if (!counts) sums[i][j][e] = kLeftOut;
      }
}

// The targets, in units of log2, of one row of fragments; kLeftOut where the logits are. The factors are those of the
// tile's rows (times label_scale log2(e)) and columns.
//
// Of labels in two parts the product of the low parts is left out: |T| is then off by less than 3 / 2^18 of the
// product of the norms, 3.5e-4 at a label_scale of 30.
//
// Except for whole tiles without peaks the epilogues leave no registers to keep the columns' factors in from one row of
// fragments to the next: they are then read each time.
template <bool masked, bool maximum>
__device__ __forceinline__ void make_targets(const TileArgs& in, const Place& at, Shared labels,
                                             const float* row_factor, const float* column_factor, int i,
                                             const float (&logits)[kFragments][4], float (&targets)[kFragments][4]) {
  const std::conditional_t<masked || maximum, volatile float, float>* const of_columns = column_factor;
  const int lane = threadIdx.x % 32, n = in.label_steps;
  const Shared a_rows = labels + label_place(at.warp_row * 64 + lane % 16, lane / 16) + i * 16 * kLabelStep * 2;
  const Shared b_rows = labels + in.label_parts * n * kLabelStepBytes +
                        label_place(at.warp_column * 32 + lane % 8 + lane / 16 * 8, lane / 8 % 2);
#pragma unroll
  for (int j = 0; j < kFragments; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) targets[j][e] = 0.f;
  const int products = in.label_parts == 1 ? n : 3 * n;  // high high, high low, low high
#pragma unroll 1
  for (int step = 0; step < products; ++step) {
    uint32_t a[4], b[kFragments / 2][4];
    load_matrices(a, a_rows + (step < n ? step : step - n) * kLabelStepBytes);
#pragma unroll
    for (int j = 0; j < kFragments / 2; ++j)
      load_matrices(b[j], b_rows + (step < 2 * n ? step : step - 2 * n) * kLabelStepBytes + j * 16 * kLabelStep * 2);
#pragma unroll
    for (int j = 0; j < kFragments; ++j) multiply_add(targets[j], a, b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
  }
#pragma unroll
  for (int j = 0; j < kFragments; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      targets[j][e] *= row_factor[at.row_of(i, e / 2)] * of_columns[at.column_of(j) + e % 2];
      if (masked && logits[j][e] == kLeftOut) targets[j][e] = kLeftOut;
    }
}

}  // namespace mmclip
