// Design A: library products write a block of logits and of targets in single or double precision; these kernels take
// its statistics and replace the logits by the gradient. For float32 and float64 inputs, and for very wide labels.
#pragma once

#include "statistics.cuh"

namespace mmclip {

template <typename scalar>
__device__ __forceinline__ bool counts(const ChunkArgs<scalar>& in, int64_t row, int64_t column) {
  return in.excluded == nullptr || in.excluded[in.row_group[row] * in.groups + in.column_group[column]] == 0;
}

// The statistics of one pair.
template <typename scalar>
__device__ __forceinline__ Entry<scalar> entry_of(const ChunkArgs<scalar>& in, int64_t row, int64_t column) {
  Entry<scalar> entry = Entry<scalar>::nothing();
  if (!counts(in, row, column)) return entry;
  const int64_t index = row * in.columns + column;
  entry.peak[0] = *in.logit_scale * in.logits[index];
  entry.sum[0] = 1;
  if (in.targets != nullptr) {
    entry.peak[1] = in.label_scale * in.targets[index];
    entry.sum[1] = 1;
    entry.sum[2] = entry.peak[0];
  }
  return entry;
}

// Writes a line's statistics, merged with what is there already.
template <typename scalar>
__device__ __forceinline__ void finish(const ChunkStatisticsArgs<scalar>& in, Entry<scalar> entry, int64_t line) {
  const bool labels = in.targets != nullptr;
  if (in.accumulate) entry.merge(Entry<scalar>::read(in.out + line, in.out_stride, labels));
  entry.write(in.out + line, in.out_stride, labels);
}

// A block a row.
template <typename scalar>
__device__ __forceinline__ void chunk_rows(const ChunkStatisticsArgs<scalar>& in) {
  auto& shares = shared_variable<Entry<scalar>[kThreads]>();
  const int64_t row = blockIdx.x;
  Entry<scalar> entry = Entry<scalar>::nothing();
  for (int64_t column = threadIdx.x; column < in.columns; column += kThreads) entry.merge(entry_of(in, row, column));
  shares[threadIdx.x] = entry;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half) shares[threadIdx.x].merge(shares[threadIdx.x + half]);
  }
  if (threadIdx.x == 0) finish(in, shares[0], row);
}

// A block kMergeLines columns, each in kThreads / kMergeLines shares.
template <typename scalar>
__device__ __forceinline__ void chunk_columns(const ChunkStatisticsArgs<scalar>& in) {
  constexpr int kShares = kThreads / kMergeLines;
  auto& shares = shared_variable<Entry<scalar>[kShares][kMergeLines]>();
  const int share = threadIdx.x / kMergeLines, own = threadIdx.x % kMergeLines;
  const int64_t column = int64_t(blockIdx.x) * kMergeLines + own;
  Entry<scalar> entry = Entry<scalar>::nothing();
  if (column < in.columns)
    for (int64_t row = share; row < in.rows; row += kShares) entry.merge(entry_of(in, row, column));
  shares[share][own] = entry;
  __syncthreads();
  if (share > 0 || column >= in.columns) return;
  for (int other = 1; other < kShares; ++other) entry.merge(shares[other][own]);
  finish(in, entry, column);
}

// Each block takes rows in turn.
template <typename scalar>
__device__ __forceinline__ void chunk_gradient(const ChunkGradientArgs<scalar>& in) {
  for (int64_t row = blockIdx.x; row < in.rows; row += gridDim.x)
    for (int64_t column = threadIdx.x; column < in.columns; column += kThreads) {
      scalar gradient = 0;
      scalar& entry = in.logits[row * in.columns + column];
      if (counts(in, row, column)) {
        const scalar logit = *in.logit_scale * entry;
        gradient = exp(logit - in.row_shift[row]) + exp(logit - in.column_shift[column]);
        if (in.targets != nullptr) {
          const scalar target = in.label_scale * in.targets[row * in.columns + column];
          gradient -= exp(target - in.row_shift[in.row_shift_stride + row]) +
                      exp(target - in.column_shift[in.column_shift_stride + column]);
        }
      }
      entry = gradient;
    }
}

}  // namespace mmclip
