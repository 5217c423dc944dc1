// The interface between the host side (host.cpp, with ATen) and the kernels (kernels.cu, without it): what each kernel
// is given, and the functions that launch them. Everything is passed by value as one struct per kernel.
//
// Entry points (extern "C"), their argument, block and grid:
//   mmclip_prepare            PrepareArgs      256 threads; any number of blocks (each warp takes rows in turn)
//   mmclip_statistics_labels  StatisticsArgs   256 threads; one block per tile: x = rows of tiles, y = columns of
//   mmclip_statistics_plain   StatisticsArgs     tiles; dynamic shared memory shared_bytes(tile)
//   mmclip_merge              MergeArgs        256 threads; one block per 32 lines
//   mmclip_gradient_labels    GradientArgs     as the statistics kernels
//   mmclip_gradient_plain     GradientArgs
//   mmclip_chunk_rows_f32     ChunkStatisticsArgs<float>   (and _f64) 256 threads; one block per row
//   mmclip_chunk_columns_f32  ChunkStatisticsArgs<float>   (and _f64) 256 threads; one block per 32 columns
//   mmclip_chunk_gradient_f32 ChunkGradientArgs<float>     (and _f64) 256 threads; any number of blocks
// Grids are one-dimensional but for the tile kernels. Only the tile kernels use dynamic shared memory. Fields lie in the order written, base class first, each aligned to
// its size. bfloat16 numbers are passed as their 16 bits.
#pragma once

#include <cstdint>

namespace mmclip {

constexpr int kThreads = 256;     // a block of every kernel
constexpr int kTile = 128;        // rows and columns of a tile
constexpr int kDepth = 32;        // columns of x and y that are multiplied at a time
constexpr int kStages = 4;        // how many such pieces are on their way or in use
constexpr int kLabelStep = 16;    // labels that one matrix instruction multiplies
constexpr int kMostLabels = 64;   // of real values; twice as many 0/1 labels
constexpr int kMergeLines = 32;   // rows (or columns) that one block of mmclip_merge and of mmclip_chunk_columns handles

constexpr int kStageBytes = 2 * kTile * kDepth * 2;           // one piece of x and of y
constexpr int kLabelStepBytes = kTile * kLabelStep * 2;       // one step of a side's labels

// Up to these bounds on |S| and |T| the exponentials need no maximum: for 2^20 rows and columns with weights 1 / 2^21
// neither e^S, nor its sums times S, nor e^{-shift} leave the range of single precision.
constexpr float kStaticLimit = 56.f;

// What both tile kernels need of one block of rows and columns. Pointers point at its first row or column.
struct TileArgs {
  const uint16_t* x;                   // bf16 [rows, depth], 16-byte aligned
  const uint16_t* y;                   // bf16 [columns, depth]
  const uint16_t* row_labels;          // bf16 [rows, label_parts * label_steps * 16]: high parts, then low parts
  const uint16_t* column_labels;       // bf16 [columns, the same]
  const float* row_label_factor;       // [rows]: 1 over the norm for the cosine, else 1
  const float* column_label_factor;    // [columns]
  const float* logit_scale;            // one number
  const uint32_t* bounds;              // the bits of four floats: largest squared norm of x, of a, of y, of b
  const int64_t* row_group;            // [rows], or null
  const int64_t* column_group;         // [columns], or null
  const uint8_t* excluded;             // [groups, groups], or null: nonzero leaves the pair out
  int64_t groups;
  float label_scale;
  int32_t cosine;                      // |T| is then at most label_scale
  int32_t rows, columns;
  int32_t depth;                       // a multiple of kDepth
  int32_t label_steps;                 // ceil(labels / 16)
  int32_t label_parts;                 // 1: exact in bf16 (0/1 labels); 2: high and low parts
};

// Partial statistics are in units of log2: peaks and the weighted sums are those of S log2(e) and T log2(e). A line
// without any pair has the sum 0 at an arbitrary peak.
struct StatisticsArgs : TileArgs {
  float* row_partials;                 // [statistics, columns of tiles, rows of tiles * kTile]
  float* column_partials;              // [statistics, rows of tiles, columns of tiles * kTile]
};

struct GradientArgs : TileArgs {
  const float* row_shift;              // [rows]; the second of labels row_shift_stride further on
  const float* column_shift;           // [columns]; likewise
  int64_t row_shift_stride, column_shift_stride;
  uint16_t* gradient;                  // bf16 [rows, gradient_stride]; columns from `columns` on are undefined
  int64_t gradient_stride;             // even, at least `columns`
};

// Merges the partial statistics of `parts` tiles into the statistics of `lines` rows or columns.
struct MergeArgs {
  const float* partials;               // [statistics, parts, partial_stride]
  float* out;                          // [statistics, out_stride]
  int64_t partial_stride, out_stride;
  int32_t parts, lines;
  int32_t statistics;                  // 5 with labels, 2 without
  int32_t accumulate;                  // whether `out` already holds statistics to merge with
};

enum LabelType : int32_t { kNoLabels = 0, kByteLabels = 1, kFloatLabels = 2 };

// Labels of one side as the matrix instructions take them, their factors, and the bounds of this side.
struct PrepareArgs {
  const uint16_t* x;                   // bf16 [rows, depth], 16-byte aligned
  const void* labels;                  // [rows, label_count] of label_type
  uint16_t* out;                       // bf16 [rows, label_parts * label_steps * 16]
  float* factor;                       // [rows]
  uint32_t* bounds;                    // the bits of two floats, at least 0: squared norms of x and of the labels
  int64_t rows;
  int32_t depth;
  int32_t label_type, label_count, label_steps, label_parts;
  int32_t cosine;
};

// Design A: a block of logits and targets that a library product has written.
template <typename scalar>
struct ChunkArgs {
  scalar* logits;                      // [rows, columns]: x y^T; the gradient kernel replaces it by G
  const scalar* targets;               // [rows, columns]: a b^T, or null
  const scalar* logit_scale;           // one number
  const int64_t* row_group;            // [rows], or null
  const int64_t* column_group;         // [columns], or null
  const uint8_t* excluded;             // [groups, groups], or null
  int64_t groups;
  scalar label_scale;
  int32_t rows, columns;
};

template <typename scalar>
struct ChunkStatisticsArgs : ChunkArgs<scalar> {
  scalar* out;                         // [statistics, out_stride], of the block's rows, or of its columns
  int64_t out_stride;
  int32_t accumulate;
};

template <typename scalar>
struct ChunkGradientArgs : ChunkArgs<scalar> {
  const scalar* row_shift;
  const scalar* column_shift;
  int64_t row_shift_stride, column_shift_stride;
};

// Dynamic shared memory of a block of a tile kernel.
inline int shared_bytes(const TileArgs& tile) {
  return kStages * kStageBytes + 2 * tile.label_parts * tile.label_steps * kLabelStepBytes;
}

// Each launches one kernel on a stream (a cudaStream_t) and returns null, or the text of the error.
const char* launch_prepare(const PrepareArgs& args, void* stream);
const char* launch_statistics(const StatisticsArgs& args, void* stream);
const char* launch_merge(const MergeArgs& args, void* stream);
const char* launch_gradient(const GradientArgs& args, void* stream);
template <typename scalar>
const char* launch_chunk_rows(const ChunkStatisticsArgs<scalar>& args, void* stream);
template <typename scalar>
const char* launch_chunk_columns(const ChunkStatisticsArgs<scalar>& args, void* stream);
template <typename scalar>
const char* launch_chunk_gradient(const ChunkGradientArgs<scalar>& args, void* stream);

}  // namespace mmclip
