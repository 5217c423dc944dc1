// The soft-target contrastive loss: the algebra that every device implements. No torch header is included here, so
// that device code can use the same constants.
//
// Logits      S = logit_scale x y^T                      [N, M]
// Targets     T = label_scale a b^T  (label rows), or 0 where ids are equal and minus infinity elsewhere
// Rows        p_i = softmax_j T_ij,  loss_i = lse_j S_ij - sum_j p_ij S_ij,  floor_i = lse_j T_ij - sum_j p_ij T_ij
// Columns     the same over i
// Loss        1/2 (mean of the rows' losses + mean of the columns'); a row without a target is left out of its mean
//
// Gradient    G_ij = dL/dS_ij = 1/2 [ (e^{S_ij - lse S_i} - e^{T_ij - lse T_i}) / N
//                                   + (e^{S_ij - lse S_j} - e^{T_ij - lse T_j}) / M ]
//             dx = logit_scale G y,   dy = logit_scale G^T x,   dlogit_scale = <x, G y>
//
// The N x M matrices exist one tile at a time: the forward sweep keeps two numbers a row and two a column (lse S and
// lse T), from which the backward sweep recomputes G.
#pragma once

#include <cstdint>

namespace mmclip {

// Stands for minus infinity where a pair has no target or lies outside the batch: unlike the real one it may be
// multiplied by the zero it is exponentiated to. Largest sum over a tile: 1024 * 1e30, still a float.
constexpr float kLeftOut = -1e30f;

// The log-sum-exp of a row or column without any target: e^{S - kNoTarget} is 0, so that it adds nothing to G.
constexpr float kNoTarget = 1e30f;

// The rows of the two statistics tensors, [kStatistics, N] and [kStatistics, M].
enum Statistic : int64_t { kLogSumExpLogits = 0, kLogSumExpTargets = 1, kStatistics = 2 };

}  // namespace mmclip
