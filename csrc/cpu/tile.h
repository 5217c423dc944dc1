// The vectorised loops over one slab (a few rows) of a tile of logits and targets.
//
// A tile's rows are kTileColumns apart whatever its width, and its ragged edges hold kLeftOut, so that every loop runs
// over whole vectors and whole groups of kGroup rows.
#pragma once

#include <ATen/cpu/vec/vec.h>

#include <algorithm>

#include "../soft_contrastive.h"

namespace mmclip {

// A block of kTileColumns rows of y stays in the cache of a core while the slabs of the tile pass by; a tile is tall,
// since the threads meet once a tile. One of logits and one of targets take 4 MB each in single precision.
constexpr int64_t kTileRows = 4096;
constexpr int64_t kTileColumns = 256;
// One thread's share of a tile. Partial sums are kept a slab, not a thread, so that results do not depend on threads.
constexpr int64_t kSlabRows = 64;
constexpr int64_t kSlabs = kTileRows / kSlabRows;
// Rows handled together, so that a column's sums are loaded and stored once for all of them.
constexpr int64_t kGroup = 4;

// What is gathered of a row or column: its largest logit and target, and four sums of exponentials relative to them.
enum Entry : int {
  kExpLogits,
  kExpTargets,
  kTargetsTimesLogits,
  kTargetsTimesTargets,
  kPeakLogit,
  kPeakTarget,
  kEntries
};
constexpr int kSums = kPeakLogit;

template <typename scalar>
using Vector = at::vec::Vectorized<scalar>;

template <typename scalar>
struct Slab {
  scalar* logits;
  scalar* targets;
  int64_t rows;     // a multiple of kGroup
  int64_t columns;  // a multiple of the vector's length
};

template <typename scalar>
scalar sum_of(const Vector<scalar>& v) {
  scalar lanes[Vector<scalar>::size()];
  v.store(lanes);
  scalar total = 0;
  for (scalar lane : lanes) total += lane;
  return total;
}

// The largest value of each row, kEntries apart, and of each column of `values`, a slab's logits or its targets.
template <typename scalar>
void slab_peaks(const scalar* values, int64_t rows, int64_t columns, scalar* row_peaks, scalar* column_peaks) {
  using V = Vector<scalar>;
  std::fill_n(column_peaks, columns, scalar(kLeftOut));
  for (int64_t r = 0; r < rows; ++r) {
    V largest{scalar(kLeftOut)};
    for (int64_t c = 0; c < columns; c += V::size()) {
      const V value = V::loadu(values + r * kTileColumns + c);
      largest = at::vec::maximum(largest, value);
      at::vec::maximum(V::loadu(column_peaks + c), value).store(column_peaks + c);
    }
    scalar lanes[V::size()];
    largest.store(lanes);
    row_peaks[r * kEntries] = *std::max_element(lanes, lanes + V::size());
  }
}

// The entries of each row, [rows][kEntries], and of each column, [kEntries][kTileColumns], over the slab.
template <typename scalar>
void slab_entries(const Slab<scalar>& slab, scalar* by_row, scalar* by_column) {
  using V = Vector<scalar>;
  const auto column = [&](int entry, int64_t c) { return by_column + entry * kTileColumns + c; };
  slab_peaks(slab.logits, slab.rows, slab.columns, by_row + kPeakLogit, column(kPeakLogit, 0));
  slab_peaks(slab.targets, slab.rows, slab.columns, by_row + kPeakTarget, column(kPeakTarget, 0));
  for (int s = 0; s < kSums; ++s) std::fill_n(column(s, 0), slab.columns, scalar(0));
  for (int64_t r = 0; r < slab.rows; r += kGroup) {
    scalar* group = by_row + r * kEntries;
    V rows[kGroup][kSums];
    for (auto& row : rows) std::fill_n(row, kSums, V{scalar(0)});
    for (int64_t c = 0; c < slab.columns; c += V::size()) {
      const V peak_logits = V::loadu(column(kPeakLogit, c)), peak_targets = V::loadu(column(kPeakTarget, c));
      V columns[kSums];
      for (int s = 0; s < kSums; ++s) columns[s] = V::loadu(column(s, c));
      for (int64_t k = 0; k < kGroup; ++k) {
        const V logit = V::loadu(slab.logits + (r + k) * kTileColumns + c);
        const V target = V::loadu(slab.targets + (r + k) * kTileColumns + c);
        const V in_row = (target - V{group[k * kEntries + kPeakTarget]}).exp_u20();
        const V in_column = (target - peak_targets).exp_u20();
        rows[k][kExpLogits] = rows[k][kExpLogits] + (logit - V{group[k * kEntries + kPeakLogit]}).exp_u20();
        rows[k][kExpTargets] = rows[k][kExpTargets] + in_row;
        rows[k][kTargetsTimesLogits] = at::vec::fmadd(in_row, logit, rows[k][kTargetsTimesLogits]);
        rows[k][kTargetsTimesTargets] = at::vec::fmadd(in_row, target, rows[k][kTargetsTimesTargets]);
        columns[kExpLogits] = columns[kExpLogits] + (logit - peak_logits).exp_u20();
        columns[kExpTargets] = columns[kExpTargets] + in_column;
        columns[kTargetsTimesLogits] = at::vec::fmadd(in_column, logit, columns[kTargetsTimesLogits]);
        columns[kTargetsTimesTargets] = at::vec::fmadd(in_column, target, columns[kTargetsTimesTargets]);
      }
      for (int s = 0; s < kSums; ++s) columns[s].store(column(s, c));
    }
    for (int64_t k = 0; k < kGroup; ++k)
      for (int s = 0; s < kSums; ++s) group[k * kEntries + s] = sum_of(rows[k][s]);
  }
}

// The columns' entries of `slabs` slabs, [slabs][kEntries][kTileColumns], brought into those of the first.
template <typename scalar>
void merge_slabs(scalar* by_column, int64_t slabs, int64_t columns) {
  using V = Vector<scalar>;
  const auto load = [&](int64_t slab, int entry, int64_t c) {
    return V::loadu(by_column + (slab * kEntries + entry) * kTileColumns + c);
  };
  for (int64_t c = 0; c < columns; c += V::size()) {
    V merged[kEntries];
    for (int e = 0; e < kEntries; ++e) merged[e] = load(0, e, c);
    for (int64_t slab = 1; slab < slabs; ++slab) {
      const V logit = load(slab, kPeakLogit, c), target = load(slab, kPeakTarget, c);
      const V peak_logit = at::vec::maximum(merged[kPeakLogit], logit);
      const V peak_target = at::vec::maximum(merged[kPeakTarget], target);
      V before = (merged[kPeakLogit] - peak_logit).exp_u20(), now = (logit - peak_logit).exp_u20();
      merged[kExpLogits] = merged[kExpLogits] * before + load(slab, kExpLogits, c) * now;
      before = (merged[kPeakTarget] - peak_target).exp_u20(), now = (target - peak_target).exp_u20();
      for (int s = kExpTargets; s < kSums; ++s) merged[s] = merged[s] * before + load(slab, s, c) * now;
      merged[kPeakLogit] = peak_logit;
      merged[kPeakTarget] = peak_target;
    }
    for (int e = 0; e < kEntries; ++e) merged[e].store(by_column + e * kTileColumns + c);
  }
}

// The log-sum-exps of a slab's rows and columns, and half of one over the number of rows, and of columns, that count.
template <typename scalar>
struct Normalisers {
  const scalar* row_logits;
  const scalar* row_targets;
  const scalar* column_logits;
  const scalar* column_targets;
  scalar row_weight, column_weight;
};

// Replaces the slab's logits by the loss's gradient with respect to them.
template <typename scalar>
void slab_gradient(const Slab<scalar>& slab, const Normalisers<scalar>& by) {
  using V = Vector<scalar>;
  const V row_weight{by.row_weight}, column_weight{by.column_weight};
  for (int64_t r = 0; r < slab.rows; ++r) {
    const V row_logits{by.row_logits[r]}, row_targets{by.row_targets[r]};
    for (int64_t c = 0; c < slab.columns; c += V::size()) {
      scalar* entry = slab.logits + r * kTileColumns + c;
      const V logit = V::loadu(entry), target = V::loadu(slab.targets + r * kTileColumns + c);
      const V in_row = (logit - row_logits).exp_u20() - (target - row_targets).exp_u20();
      const V in_column = (logit - V::loadu(by.column_logits + c)).exp_u20() -
                          (target - V::loadu(by.column_targets + c)).exp_u20();
      at::vec::fmadd(row_weight, in_row, column_weight * in_column).store(entry);
    }
  }
}

}  // namespace mmclip
