// The statistics of a tile's rows and columns, and the merge of many tiles' statistics. Within a tile everything is in
// units of log2, since the exponential of the hardware is that of 2.
//
// Where |S| and |T| are bounded by kStaticLimit, all peaks are 0: one exponential then serves the row and the column.
// Otherwise the block first finds the largest logit and target of each of its rows and columns.
#pragma once

#include "tile.cuh"

namespace mmclip {

// The peak of a line of which nothing counts: above kLeftOut, so that what is left out still adds 2^-huge = 0.
constexpr float kNothing = kLeftOut / 2;

// What the epilogue shares within the block, laid over the pieces of x and y once they are used.
template <bool labels>
struct StatisticsScratch {
  static constexpr int kSums = labels ? 3 : 1;   // of e^S, of e^T, of e^T S
  static constexpr int kPeaks = labels ? 2 : 1;  // of S, of T
  float factor[2][kTile];                        // of the labels of the rows (times label_scale log2(e)), of the columns
  float row_peaks[kPeaks][4][kTile];             // by warp_column; then the first holds that of all
  float column_peaks[kPeaks][2][kTile];          // by warp_row; likewise
  float row_sums[kSums][4][kTile];
  float column_sums[kSums][2][kTile];
};

// Reductions over the lanes that hold the same rows, and over those that hold the same columns.
template <typename Operation>
__device__ __forceinline__ float over_columns(float value, const Operation& operation) {
  value = operation(value, shuffle_xor(value, 1));
  return operation(value, shuffle_xor(value, 2));
}

template <typename Operation>
__device__ __forceinline__ float over_rows(float value, const Operation& operation) {
  value = operation(value, shuffle_xor(value, 4));
  value = operation(value, shuffle_xor(value, 8));
  return operation(value, shuffle_xor(value, 16));
}

struct Sum {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};
struct Larger {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// The peaks of the rows and columns of each warp, of the logits (p = 0) or of the targets (p = 1), left in scratch.
template <bool labels, bool masked, int p>
__device__ __forceinline__ void find_warp_peaks(const TileArgs& in, const Place& at, Shared label_rows,
                                                StatisticsScratch<labels>& scratch, const Fragments& logits) {
  const int lane = threadIdx.x % 32;
  float columns[kFragments][2];
#pragma unroll
  for (int j = 0; j < kFragments; ++j) columns[j][0] = columns[j][1] = kNothing;
#pragma unroll
  for (int i = 0; i < kFragments; ++i) {
    float targets[kFragments][4], rows[2] = {kNothing, kNothing};
    if (p == 1)
      make_targets<masked, true>(in, at, label_rows, scratch.factor[0], scratch.factor[1], i, logits[i], targets);
#pragma unroll
    for (int j = 0; j < kFragments; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float value = p == 0 ? logits[i][j][e] : targets[j][e];
        rows[e / 2] = fmaxf(rows[e / 2], value);
        columns[j][e % 2] = fmaxf(columns[j][e % 2], value);
      }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float peak = over_columns(rows[half], Larger());
      if (lane % 4 == 0) scratch.row_peaks[p][at.warp_column][at.row_of(i, half)] = peak;
    }
  }
#pragma unroll
  for (int j = 0; j < kFragments; ++j)
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const float peak = over_rows(columns[j][c], Larger());
      if (lane / 4 == 0) scratch.column_peaks[p][at.warp_row][at.column_of(j) + c] = peak;
    }
}

// The peaks of the tile's rows and columns, left in scratch.
template <bool labels, bool masked>
__device__ __forceinline__ void find_peaks(const TileArgs& in, const Place& at, Shared label_rows,
                                           StatisticsScratch<labels>& scratch, const Fragments& logits) {
  find_warp_peaks<labels, masked, 0>(in, at, label_rows, scratch, logits);
  if constexpr (labels) find_warp_peaks<labels, masked, 1>(in, at, label_rows, scratch, logits);
  __syncthreads();
  const int line = threadIdx.x % kTile;
#pragma unroll
  for (int p = 0; p < StatisticsScratch<labels>::kPeaks; ++p) {
    float(&of_row)[4][kTile] = scratch.row_peaks[p];
    float(&of_column)[2][kTile] = scratch.column_peaks[p];
    if (threadIdx.x < kTile) {
      of_row[0][line] = fmaxf(fmaxf(of_row[0][line], of_row[1][line]), fmaxf(of_row[2][line], of_row[3][line]));
    } else {
      of_column[0][line] = fmaxf(of_column[0][line], of_column[1][line]);
    }
  }
  __syncthreads();
}

// Sums `first` to `last` - 1 of the rows and columns of each warp, relative to the peaks in scratch or to 0, left there.
template <bool labels, bool maximum, bool masked, int first, int last>
__device__ __forceinline__ void find_sums(const TileArgs& in, const Place& at, Shared label_rows,
                                          StatisticsScratch<labels>& scratch, const Fragments& logits) {
  constexpr int kSums = last - first;
  const int lane = threadIdx.x % 32;
  float columns[kSums][kFragments][2] = {};
#pragma unroll
  for (int i = 0; i < kFragments; ++i) {
    float targets[kFragments][4], rows[kSums][2] = {};
    if (last > 1)
      make_targets<masked, maximum>(in, at, label_rows, scratch.factor[0], scratch.factor[1], i, logits[i], targets);
#pragma unroll
    for (int j = 0; j < kFragments; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float logit = logits[i][j][e];
        // e^(value - peak) for the row and for the column; one number where there are no peaks.
        const auto exponentials = [&](int p, float value, float& of_row, float& of_column) {
          if (maximum) {
            of_row = power_of_2(value - scratch.row_peaks[p][0][at.row_of(i, e / 2)]);
            of_column = power_of_2(value - scratch.column_peaks[p][0][at.column_of(j) + e % 2]);
          } else {
            of_row = of_column = power_of_2(value);
          }
        };
        float of_row, of_column;
        if constexpr (first == 0) {
          exponentials(0, logit, of_row, of_column);
          rows[0][e / 2] += of_row;
          columns[0][j][e % 2] += of_column;
        }
        if constexpr (last > 1) {
          constexpr int kTargets = 1 - first, kProducts = 2 - first;
          exponentials(1, targets[j][e], of_row, of_column);
          rows[kTargets][e / 2] += of_row;
          columns[kTargets][j][e % 2] += of_column;
          rows[kProducts][e / 2] = fmaf(of_row, logit, rows[kProducts][e / 2]);
          columns[kProducts][j][e % 2] = fmaf(of_column, logit, columns[kProducts][j][e % 2]);
        }
      }
#pragma unroll
    for (int s = 0; s < kSums; ++s)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float sum = over_columns(rows[s][half], Sum());
        if (lane % 4 == 0) scratch.row_sums[first + s][at.warp_column][at.row_of(i, half)] = sum;
      }
  }
#pragma unroll
  for (int s = 0; s < kSums; ++s)
#pragma unroll
    for (int j = 0; j < kFragments; ++j)
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const float sum = over_rows(columns[s][j][c], Sum());
        if (lane / 4 == 0) scratch.column_sums[first + s][at.warp_row][at.column_of(j) + c] = sum;
      }
}

// Writes the tile's partial statistics: a thread a row or a column.
template <bool labels, bool maximum>
__device__ __forceinline__ void write_partials(const StatisticsArgs& in, const Place& at,
                                               const StatisticsScratch<labels>& scratch) {
  const int line = threadIdx.x % kTile;
  const bool row = threadIdx.x < kTile;
  const int64_t lines = int64_t(row ? gridDim.x : gridDim.y) * kTile, parts = row ? gridDim.y : gridDim.x;
  float* out = row ? in.row_partials + blockIdx.y * lines + at.row + line
                   : in.column_partials + blockIdx.x * lines + at.column + line;
  const auto peak = [&](int p) {
    if (!maximum) return 0.f;
    return row ? scratch.row_peaks[p][0][line] : scratch.column_peaks[p][0][line];
  };
  const auto sum = [&](int s) {
    if (!row) return scratch.column_sums[s][0][line] + scratch.column_sums[s][1][line];
    const float(&of)[4][kTile] = scratch.row_sums[s];
    return (of[0][line] + of[1][line]) + (of[2][line] + of[3][line]);
  };
  out[kPeakLogit * parts * lines] = peak(0);
  out[kSumLogits * parts * lines] = sum(0);
  if (labels) {
    out[kPeakTarget * parts * lines] = peak(1);
    out[kSumTargets * parts * lines] = sum(1);
    out[kSumTargetsTimesLogits * parts * lines] = sum(2);
  }
}

// With peaks, logits and targets take turns: the registers do not hold what both need at once.
template <bool labels, bool maximum, bool masked>
__device__ __forceinline__ void statistics_epilogue(const StatisticsArgs& in, const Place& at, Shared label_rows,
                                                    StatisticsScratch<labels>& scratch, Fragments& sums) {
  scale_logits<masked>(in, at, sums);
  if (maximum) find_peaks<labels, masked>(in, at, label_rows, scratch, sums);
  if constexpr (labels && maximum) {
    find_sums<labels, maximum, masked, 1, 3>(in, at, label_rows, scratch, sums);
    find_sums<labels, maximum, masked, 0, 1>(in, at, label_rows, scratch, sums);
  } else {
    find_sums<labels, maximum, masked, 0, StatisticsScratch<labels>::kSums>(in, at, label_rows, scratch, sums);
  }
  __syncthreads();
  write_partials<labels, maximum>(in, at, scratch);
}

template <bool labels>
__device__ __forceinline__ void statistics_tile(const StatisticsArgs& in) {
  static_assert(sizeof(StatisticsScratch<labels>) <= kStages * kStageBytes, "the scratch lies over the pieces");
  const Place at;
  const Shared stages = shared_address(shared_memory()), label_rows = stages + kStages * kStageBytes;
  auto& scratch = *reinterpret_cast<StatisticsScratch<labels>*>(shared_memory());
  const int line = threadIdx.x % kTile;
  const bool row = threadIdx.x < kTile;

  float factor = 0.f;  // of this thread's row or column: fetched here, since the scratch does not exist yet
  if (labels) {
    factor = row ? in.row_label_factor[min(at.row + line, in.rows - 1)] * in.label_scale * kLog2e
                 : in.column_label_factor[min(at.column + line, in.columns - 1)];
    fetch_labels(in, at, label_rows);
  }
  Fragments sums = {};
  multiply(in, at, stages, sums);
  __syncthreads();
  if (labels) {
    scratch.factor[row ? 0 : 1][line] = factor;
    __syncthreads();
  }
  const bool all = whole(in, at);
  if (needs_maximum(in, labels)) {
    if (all) {
      statistics_epilogue<labels, true, false>(in, at, label_rows, scratch, sums);
    } else {
      statistics_epilogue<labels, true, true>(in, at, label_rows, scratch, sums);
    }
  } else if (all) {
    statistics_epilogue<labels, false, false>(in, at, label_rows, scratch, sums);
  } else {
    statistics_epilogue<labels, false, true>(in, at, label_rows, scratch, sums);
  }
}

// Statistics of one line, which merge associatively up to rounding. `scalar` is the accumulate type.
template <typename scalar>
struct Entry {
  scalar peak[2], sum[3];  // of S and of T; of e^S, of e^T, of e^T S

  __device__ __forceinline__ static scalar rescale(scalar difference) { return exp(difference); }

  __device__ __forceinline__ void merge(const Entry& other) {
#pragma unroll
    for (int p = 0; p < 2; ++p) {
      const scalar both = peak[p] > other.peak[p] ? peak[p] : other.peak[p];
      const scalar keep = rescale(peak[p] - both), take = rescale(other.peak[p] - both);
#pragma unroll
      for (int s = p; s < 1 + 2 * p; ++s) sum[s] = sum[s] * keep + other.sum[s] * take;
      peak[p] = both;
    }
  }

  __device__ __forceinline__ static Entry nothing() { return {{scalar(kLeftOut), scalar(kLeftOut)}, {0, 0, 0}}; }

  __device__ __forceinline__ static Entry read(const scalar* from, int64_t stride, bool labels) {
    Entry entry = nothing();
    entry.peak[0] = from[kPeakLogit * stride];
    entry.sum[0] = from[kSumLogits * stride];
    if (labels) {
      entry.peak[1] = from[kPeakTarget * stride];
      entry.sum[1] = from[kSumTargets * stride];
      entry.sum[2] = from[kSumTargetsTimesLogits * stride];
    }
    return entry;
  }

  // A line of which nothing counts has the sum 0 at whatever peak; it gets the peak kLeftOut.
  __device__ __forceinline__ void write(scalar* to, int64_t stride, bool labels) const {
    const bool empty = sum[0] == 0;
    to[kPeakLogit * stride] = empty ? scalar(kLeftOut) : peak[0];
    to[kSumLogits * stride] = sum[0];
    if (!labels) return;
    to[kPeakTarget * stride] = empty ? scalar(kLeftOut) : peak[1];
    to[kSumTargets * stride] = sum[1];
    to[kSumTargetsTimesLogits * stride] = sum[2];
  }
};

// Merges tiles' partials in a fixed order: a block handles kMergeLines lines, each in kThreads / kMergeLines shares.
__device__ __forceinline__ void merge_partials(const MergeArgs& in) {
  constexpr int kShares = kThreads / kMergeLines;
  constexpr float kLn2 = 0.6931471805599453f;
  auto& shares = shared_variable<Entry<float>[kShares][kMergeLines]>();
  const int share = threadIdx.x / kMergeLines, own = threadIdx.x % kMergeLines;
  const int64_t line = int64_t(blockIdx.x) * kMergeLines + own;
  const bool labels = in.statistics == kStatistics, inside = line < in.lines;
  Entry<float> entry = Entry<float>::nothing();
  if (inside) {
    for (int part = share; part < in.parts; part += kShares) {
      auto next = Entry<float>::read(in.partials + part * in.partial_stride + line, in.parts * in.partial_stride, labels);
      next.peak[0] *= kLn2;
      next.peak[1] *= kLn2;
      next.sum[2] *= kLn2;
      entry.merge(next);
    }
  }
  shares[share][own] = entry;
  __syncthreads();
  if (share > 0 || !inside) return;
  for (int other = 1; other < kShares; ++other) entry.merge(shares[other][own]);
  if (in.accumulate) entry.merge(Entry<float>::read(in.out + line, in.out_stride, labels));
  entry.write(in.out + line, in.out_stride, labels);
}

}  // namespace mmclip
