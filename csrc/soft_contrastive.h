// The soft-target contrastive loss: what every device computes, and the constants they share. No torch header is
// included here, so that device code can use it.
//
// Logits      S = logit_scale x y^T                                   [N, M]
// Targets     T = label_scale a b^T, or label_scale cos(a, b)         [N, M], where there are labels
// A pair is left out of both where excluded[row_group[i], column_group[j]].
//
// Statistics  of each row, and of each column: a peak p of S and sum e^{S - p}; with labels also a peak t of T,
//             sum e^{T - t} and sum e^{T - t} S. Two of them over different pairs merge into one.
// Loss        sum over rows of weight (lse S - sum e^{T - t} S / sum e^{T - t}), and the same over columns; the weight
//             is 1 / (2 number of rows that count), so that the two sums are half of each mean.
// Gradient    G_ij = e^{S - row_shift_0} + e^{S - column_shift_0} - e^{T - row_shift_1} - e^{T - column_shift_1}
//             with shift_0 = lse S - log weight and shift_1 = lse T - log weight;  grad_x = G y,  grad_y = G^T x.
//
// The N x M matrices exist one tile at a time: the first sweep keeps the statistics, from which the second one
// recomputes G. Without labels the target's part of the loss, sum W_ij S_ij, is left to the caller.
#pragma once

#include <cstdint>

namespace mmclip {

// Stands for minus infinity where a pair is left out or lies outside the batch: unlike the real one it may be
// multiplied by the zero it is exponentiated to. Largest sum over a tile: 1024 * 1e30, still a float. It is also the
// peak of a row or column with nothing to sum, whose sums are then 0.
constexpr float kLeftOut = -1e30f;

// The shift of a row or column of weight 0: e^{S - kNoTarget} is 0, so that it adds nothing to G.
constexpr float kNoTarget = 1e30f;

// The rows of a statistics tensor, [kStatistics, N] with labels, [kStatisticsOfLogits, N] without.
enum Statistic : int64_t {
  kPeakLogit = 0,
  kSumLogits = 1,  // of e^{S - peak}
  kPeakTarget = 2,
  kSumTargets = 3,            // of e^{T - peak}
  kSumTargetsTimesLogits = 4  // of e^{T - peak} S
};
constexpr int64_t kStatistics = 5, kStatisticsOfLogits = 2;

// The rows of a shift tensor, [kShifts, N] with labels, [kShiftsOfLogits, N] without.
enum Shift : int64_t { kShiftOfLogits = 0, kShiftOfTargets = 1 };
constexpr int64_t kShifts = 2, kShiftsOfLogits = 1;

}  // namespace mmclip
