// A tile of the gradient with respect to the logits, G, written in bfloat16.
//
//   G_ij = e^{S - r_i} + e^{S - c_j} - e^{T - r'_i} - e^{T - c'_j}     r, c, r', c': the shifts of row i and column j
//
// Where |S| and |T| are bounded by kStaticLimit that is e^S (e^{-r_i} + e^{-c_j}) - e^T (e^{-r'_i} + e^{-c'_j}): two
// exponentials an entry instead of four.
#pragma once

#include "tile.cuh"

namespace mmclip {

// What a tile needs of its rows ([0]) and columns ([1]), laid over the pieces of x and y once they are used.
template <bool labels>
struct GradientScratch {
  static constexpr int kTerms = labels ? 2 : 1;  // of the logits, of the targets
  float shift[2][kTerms][kTile];                 // in units of log2; or weights 2^-shift where there is no maximum
  float factor[2][kTile];                        // of the labels; the rows' times label_scale log2(e)
};

template <bool labels, bool maximum, bool masked>
__device__ __forceinline__ void gradient_epilogue(const GradientArgs& in, const Place& at, Shared label_rows,
                                                  const GradientScratch<labels>& scratch, Fragments& sums) {
  constexpr int kTerms = GradientScratch<labels>::kTerms;
  scale_logits<masked>(in, at, sums);
#pragma unroll
  for (int i = 0; i < kFragments; ++i) {
    float targets[kFragments][4];
    if (labels)
      make_targets<masked, maximum>(in, at, label_rows, scratch.factor[0], scratch.factor[1], i, sums[i], targets);
#pragma unroll
    for (int j = 0; j < kFragments; ++j) {
      float gradient[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = at.row_of(i, e / 2), column = at.column_of(j) + e % 2;
        float terms[kTerms];
#pragma unroll
        for (int t = 0; t < kTerms; ++t) {
          const float value = t == 0 ? sums[i][j][e] : targets[j][e];
          const float of_row = scratch.shift[0][t][row], of_column = scratch.shift[1][t][column];
          terms[t] = maximum ? power_of_2(value - of_row) + power_of_2(value - of_column)
                             : power_of_2(value) * (of_row + of_column);
        }
        gradient[e] = labels ? terms[0] - terms[kTerms - 1] : terms[0];
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = at.row + at.row_of(i, half), column = at.column + at.column_of(j);
        if (masked && (row >= in.rows || column >= in.columns)) continue;
        uint32_t* to = reinterpret_cast<uint32_t*>(in.gradient + row * in.gradient_stride + column);
        *to = pack_bf16(gradient[2 * half], gradient[2 * half + 1]);
      }
    }
  }
}

template <bool labels>
__device__ __forceinline__ void gradient_tile(const GradientArgs& in) {
  constexpr int kTerms = GradientScratch<labels>::kTerms;
  static_assert(sizeof(GradientScratch<labels>) <= kStages * kStageBytes, "the scratch lies over the pieces");
  const Place at;
  const Shared stages = shared_address(shared_memory()), label_rows = stages + kStages * kStageBytes;
  auto& scratch = *reinterpret_cast<GradientScratch<labels>*>(shared_memory());
  const int side = threadIdx.x / kTile, line = threadIdx.x % kTile;
  const bool maximum = needs_maximum(in, labels), all = whole(in, at);

  // Of this thread's row or column: fetched here, since the scratch does not exist yet.
  float shift[kTerms], factor = 0.f;
  {
    const int64_t index = side == 0 ? min(at.row + line, in.rows - 1) : min(at.column + line, in.columns - 1);
    const float* from = (side == 0 ? in.row_shift : in.column_shift) + index;
    const int64_t stride = side == 0 ? in.row_shift_stride : in.column_shift_stride;
#pragma unroll
    for (int t = 0; t < kTerms; ++t) {
      const float value = from[t * stride] * kLog2e;
      shift[t] = maximum ? value : power_of_2(-value);
    }
    if (labels) {
      factor = side == 0 ? in.row_label_factor[index] * in.label_scale * kLog2e : in.column_label_factor[index];
      fetch_labels(in, at, label_rows);
    }
  }
  Fragments sums = {};
  multiply(in, at, stages, sums);
  __syncthreads();
#pragma unroll
  for (int t = 0; t < kTerms; ++t) scratch.shift[side][t][line] = shift[t];
  scratch.factor[side][line] = factor;
  __syncthreads();
  if (maximum) {
    if (all) {
      gradient_epilogue<labels, true, false>(in, at, label_rows, scratch, sums);
    } else {
      gradient_epilogue<labels, true, true>(in, at, label_rows, scratch, sums);
    }
  } else if (all) {
    gradient_epilogue<labels, false, false>(in, at, label_rows, scratch, sums);
  } else {
    gradient_epilogue<labels, false, true>(in, at, label_rows, scratch, sums);
  }
}

}  // namespace mmclip
