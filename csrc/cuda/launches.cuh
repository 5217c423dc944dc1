// The launch functions of launch.h: which kernel, and how many blocks. The file that includes this provides
// launch(kernel, args, blocks along x, blocks along y, bytes of dynamic shared memory, stream), the real one or the emulator's.
#pragma once

#include <algorithm>
#include <type_traits>

#include "entries.cuh"

namespace mmclip {

// Blocks of a kernel that takes rows in turn: a few for each SM of the largest devices.
constexpr int64_t kTurns = 1024;

inline int64_t blocks_of(int64_t size, int64_t each) { return (size + each - 1) / each; }

const char* launch_prepare(const PrepareArgs& args, void* stream) {
  return launch(mmclip_prepare, args, std::min(kTurns, blocks_of(args.rows, kThreads / 32)), 1, 0, stream);
}

const char* launch_statistics(const StatisticsArgs& args, void* stream) {
  const auto kernel = args.label_steps > 0 ? mmclip_statistics_labels : mmclip_statistics_plain;
  return launch(kernel, args, blocks_of(args.rows, kTile), blocks_of(args.columns, kTile), shared_bytes(args), stream);
}

const char* launch_gradient(const GradientArgs& args, void* stream) {
  const auto kernel = args.label_steps > 0 ? mmclip_gradient_labels : mmclip_gradient_plain;
  return launch(kernel, args, blocks_of(args.rows, kTile), blocks_of(args.columns, kTile), shared_bytes(args), stream);
}

const char* launch_merge(const MergeArgs& args, void* stream) {
  return launch(mmclip_merge, args, blocks_of(args.lines, kMergeLines), 1, 0, stream);
}

template <typename scalar>
const char* launch_chunk_rows(const ChunkStatisticsArgs<scalar>& args, void* stream) {
  if constexpr (std::is_same_v<scalar, double>) return launch(mmclip_chunk_rows_f64, args, args.rows, 1, 0, stream);
  else return launch(mmclip_chunk_rows_f32, args, args.rows, 1, 0, stream);
}

template <typename scalar>
const char* launch_chunk_columns(const ChunkStatisticsArgs<scalar>& args, void* stream) {
  const int64_t blocks = blocks_of(args.columns, kMergeLines);
  if constexpr (std::is_same_v<scalar, double>) return launch(mmclip_chunk_columns_f64, args, blocks, 1, 0, stream);
  else return launch(mmclip_chunk_columns_f32, args, blocks, 1, 0, stream);
}

template <typename scalar>
const char* launch_chunk_gradient(const ChunkGradientArgs<scalar>& args, void* stream) {
  const int64_t blocks = std::min(kTurns, int64_t(args.rows));
  if constexpr (std::is_same_v<scalar, double>) return launch(mmclip_chunk_gradient_f64, args, blocks, 1, 0, stream);
  else return launch(mmclip_chunk_gradient_f32, args, blocks, 1, 0, stream);
}

template const char* launch_chunk_rows<float>(const ChunkStatisticsArgs<float>&, void*);
template const char* launch_chunk_rows<double>(const ChunkStatisticsArgs<double>&, void*);
template const char* launch_chunk_columns<float>(const ChunkStatisticsArgs<float>&, void*);
template const char* launch_chunk_columns<double>(const ChunkStatisticsArgs<double>&, void*);
template const char* launch_chunk_gradient<float>(const ChunkGradientArgs<float>&, void*);
template const char* launch_chunk_gradient<double>(const ChunkGradientArgs<double>&, void*);

}  // namespace mmclip
