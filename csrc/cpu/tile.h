// The vectorised loops over one slab (a few rows) of a tile of logits and targets.
//
// A tile's rows are kTileColumns apart whatever its width, and its ragged edges hold kLeftOut, so that every loop runs
// over whole vectors and whole groups of kGroup rows.
//
// Where the size of the vectors bounds |S| well, one bound is the peak of every row and column: e^{S - bound} then
// serves the row's and the column's sum (and gradient) alike, one exponential instead of two. The same holds for T.
#pragma once

#include <ATen/cpu/vec/vec.h>

#include <algorithm>

#include "../soft_contrastive.h"

namespace mmclip {

// A block of kTileColumns rows of y stays in the cache of a core while the slabs of the tile pass by; a tile is tall,
// since the threads meet once a tile. It takes 4 MB in single precision.
constexpr int64_t kTileRows = 4096;
constexpr int64_t kTileColumns = 256;
// One thread's share of a tile. Partial sums are kept a slab, not a thread, so that results do not depend on threads.
constexpr int64_t kSlabRows = 64;
constexpr int64_t kSlabs = kTileRows / kSlabRows;
// Rows handled together, so that a column's sums are loaded and stored once for all of them.
constexpr int64_t kGroup = 4;

template <typename scalar>
using Vector = at::vec::Vectorized<scalar>;

template <typename scalar>
struct Slab {
  scalar* logits;
  scalar* targets;  // unused without labels
  int64_t rows;     // a multiple of kGroup
  int64_t columns;  // a multiple of the vector's length
};

// How the exponentials of a slab are taken: whether there are labels, and whether one bound serves all of S, and of T.
template <bool labels_, bool one_logit_peak_, bool one_target_peak_>
struct Form {
  static constexpr bool labels = labels_, one_logit_peak = one_logit_peak_, one_target_peak = one_target_peak_;
  static constexpr int64_t sums = labels ? kStatistics : kStatisticsOfLogits;
};

template <typename scalar>
struct Bounds {
  scalar logits, targets;
};

template <typename scalar>
scalar sum_of(const Vector<scalar>& v) {
  scalar lanes[Vector<scalar>::size()];
  v.store(lanes);
  scalar total = 0;
  for (scalar lane : lanes) total += lane;
  return total;
}

// targets = a b^T for the rows of a [rows, labels] and all columns of b_t [labels, kTileColumns].
template <typename scalar>
void slab_targets(const Slab<scalar>& slab, const scalar* a, int64_t rows, int64_t labels, const scalar* b_t) {
  using V = Vector<scalar>;
  constexpr int64_t kWide = 4;
  for (int64_t r = 0; r < slab.rows; r += kGroup)
    for (int64_t c = 0; c < kTileColumns; c += kWide * V::size()) {
      V sums[kGroup][kWide];
      for (auto& row : sums) std::fill_n(row, kWide, V{scalar(0)});
      for (int64_t l = 0; l < labels; ++l) {
        V b[kWide];
        for (int64_t w = 0; w < kWide; ++w) b[w] = V::loadu(b_t + l * kTileColumns + c + w * V::size());
        for (int64_t k = 0; k < kGroup; ++k) {
          const V value{a[std::min(r + k, rows - 1) * labels + l]};
          for (int64_t w = 0; w < kWide; ++w) sums[k][w] = at::vec::fmadd(value, b[w], sums[k][w]);
        }
      }
      for (int64_t k = 0; k < kGroup; ++k)
        for (int64_t w = 0; w < kWide; ++w) sums[k][w].store(slab.targets + (r + k) * kTileColumns + c + w * V::size());
    }
}

// The largest value of each row, kStatistics apart, and of each column of `values`, a slab's logits or its targets.
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
    row_peaks[r * kStatistics] = *std::max_element(lanes, lanes + V::size());
  }
}

// The peaks that statistics over the slab start from: the bound, or the slab's own.
template <bool one_peak, typename scalar>
void set_peaks(const Slab<scalar>& slab, const scalar* values, scalar bound, scalar* row_peaks, scalar* column_peaks) {
  if (!one_peak) return slab_peaks(values, slab.rows, slab.columns, row_peaks, column_peaks);
  for (int64_t r = 0; r < slab.rows; ++r) row_peaks[r * kStatistics] = bound;
  std::fill_n(column_peaks, slab.columns, bound);
}

// The statistics of each row, [rows][kStatistics], and of each column, [kStatistics][kTileColumns], over the slab.
template <typename Form, typename scalar>
void slab_statistics(const Slab<scalar>& slab, const Bounds<scalar>& bounds, scalar* by_row, scalar* by_column) {
  using V = Vector<scalar>;
  const auto column = [&](int64_t which, int64_t c) { return by_column + which * kTileColumns + c; };
  set_peaks<Form::one_logit_peak>(slab, slab.logits, bounds.logits, by_row + kPeakLogit, column(kPeakLogit, 0));
  std::fill_n(column(kSumLogits, 0), slab.columns, scalar(0));
  if constexpr (Form::labels) {
    set_peaks<Form::one_target_peak>(slab, slab.targets, bounds.targets, by_row + kPeakTarget, column(kPeakTarget, 0));
    std::fill_n(column(kSumTargets, 0), slab.columns, scalar(0));
    std::fill_n(column(kSumTargetsTimesLogits, 0), slab.columns, scalar(0));
  }
  for (int64_t r = 0; r < slab.rows; r += kGroup) {
    scalar* group = by_row + r * kStatistics;
    V rows[kGroup][3];  // of logits, targets, targets times logits
    for (auto& row : rows) std::fill_n(row, 3, V{scalar(0)});
    for (int64_t c = 0; c < slab.columns; c += V::size()) {
      const V peak_logit = V::loadu(column(kPeakLogit, c));
      V sum_logits = V::loadu(column(kSumLogits, c)), peak_target, sum_targets, sum_products;
      if constexpr (Form::labels) {
        peak_target = V::loadu(column(kPeakTarget, c));
        sum_targets = V::loadu(column(kSumTargets, c));
        sum_products = V::loadu(column(kSumTargetsTimesLogits, c));
      }
      for (int64_t k = 0; k < kGroup; ++k) {
        const V logit = V::loadu(slab.logits + (r + k) * kTileColumns + c);
        const V in_column = (logit - peak_logit).exp_u20();
        const V in_row =
            Form::one_logit_peak ? in_column : (logit - V{group[k * kStatistics + kPeakLogit]}).exp_u20();
        rows[k][0] = rows[k][0] + in_row;
        sum_logits = sum_logits + in_column;
        if constexpr (Form::labels) {
          const V target = V::loadu(slab.targets + (r + k) * kTileColumns + c);
          const V of_column = (target - peak_target).exp_u20();
          const V of_row =
              Form::one_target_peak ? of_column : (target - V{group[k * kStatistics + kPeakTarget]}).exp_u20();
          rows[k][1] = rows[k][1] + of_row;
          rows[k][2] = at::vec::fmadd(of_row, logit, rows[k][2]);
          sum_targets = sum_targets + of_column;
          sum_products = at::vec::fmadd(of_column, logit, sum_products);
        }
      }
      sum_logits.store(column(kSumLogits, c));
      if constexpr (Form::labels) {
        sum_targets.store(column(kSumTargets, c));
        sum_products.store(column(kSumTargetsTimesLogits, c));
      }
    }
    for (int64_t k = 0; k < kGroup; ++k) {
      group[k * kStatistics + kSumLogits] = sum_of(rows[k][0]);
      if constexpr (Form::labels) {
        group[k * kStatistics + kSumTargets] = sum_of(rows[k][1]);
        group[k * kStatistics + kSumTargetsTimesLogits] = sum_of(rows[k][2]);
      }
    }
  }
}

// The columns' statistics of `slabs` slabs, [slabs][kStatistics][kTileColumns], brought into those of the first.
template <typename scalar>
void merge_slabs(scalar* by_column, int64_t slabs, int64_t columns, bool labels) {
  using V = Vector<scalar>;
  const auto merge = [&](int64_t peak, int64_t end) {
    for (int64_t c = 0; c < columns; c += V::size()) {
      const auto at = [&](int64_t slab, int64_t which) {
        return by_column + (slab * kStatistics + which) * kTileColumns + c;
      };
      V largest = V::loadu(at(0, peak));
      for (int64_t slab = 1; slab < slabs; ++slab) largest = at::vec::maximum(largest, V::loadu(at(slab, peak)));
      V sums[2]{V{scalar(0)}, V{scalar(0)}};
      for (int64_t slab = 0; slab < slabs; ++slab) {
        const V scale = (V::loadu(at(slab, peak)) - largest).exp_u20();
        for (int64_t s = peak + 1; s < end; ++s)
          sums[s - peak - 1] = at::vec::fmadd(V::loadu(at(slab, s)), scale, sums[s - peak - 1]);
      }
      largest.store(at(0, peak));
      for (int64_t s = peak + 1; s < end; ++s) sums[s - peak - 1].store(at(0, s));
    }
  };
  merge(kPeakLogit, kPeakTarget);
  if (labels) merge(kPeakTarget, kStatistics);
}

// What the gradient takes of a slab's rows and columns. Where one bound serves, e^{bound - shift}, else the shift.
template <typename scalar>
struct Normalisers {
  const scalar* row_logits;
  const scalar* row_targets;
  const scalar* column_logits;
  const scalar* column_targets;
};

// e^{value - row shift} + e^{value - column shift}.
template <bool one_peak, typename scalar>
Vector<scalar> both_ways(const Vector<scalar>& value, const Vector<scalar>& bound, const Vector<scalar>& row,
                         const Vector<scalar>& column) {
  if constexpr (one_peak) return (value - bound).exp_u20() * (row + column);
  return (value - row).exp_u20() + (value - column).exp_u20();
}

// Replaces the slab's logits by G, the loss's gradient with respect to them.
template <typename Form, typename scalar>
void slab_gradient(const Slab<scalar>& slab, const Bounds<scalar>& bounds, const Normalisers<scalar>& by) {
  using V = Vector<scalar>;
  const V logit_bound{bounds.logits}, target_bound{bounds.targets};
  for (int64_t r = 0; r < slab.rows; ++r) {
    const V row_logits{by.row_logits[r]}, row_targets{Form::labels ? by.row_targets[r] : scalar(0)};
    for (int64_t c = 0; c < slab.columns; c += V::size()) {
      scalar* place = slab.logits + r * kTileColumns + c;
      V g = both_ways<Form::one_logit_peak>(V::loadu(place), logit_bound, row_logits, V::loadu(by.column_logits + c));
      if constexpr (Form::labels)
        g = g - both_ways<Form::one_target_peak>(V::loadu(slab.targets + r * kTileColumns + c), target_bound,
                                                 row_targets, V::loadu(by.column_targets + c));
      g.store(place);
    }
  }
}

#if defined(CPU_CAPABILITY_AVX512)

// G in bfloat16, twice: as the left side of a product, [rows, kTileColumns], and as the right side (multiply.h,
// Panels) of one over the tile's rows, of which there are `tile_rows`; the slab's begin at the even row `first`.
inline void slab_to_bfloat16(const Slab<float>& slab, int64_t first, int64_t tile_rows, at::BFloat16* left,
                             at::BFloat16* panels) {
  for (int64_t r = 0; r < slab.rows; r += 2)
    for (int64_t c = 0; c < slab.columns; c += 16) {
      const float* upper = slab.logits + r * kTileColumns + c;
      const __m256i up = at::vec::cvtfp32_bf16(_mm512_loadu_ps(upper));
      const __m256i low = at::vec::cvtfp32_bf16(_mm512_loadu_ps(upper + kTileColumns));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(left + r * kTileColumns + c), up);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(left + (r + 1) * kTileColumns + c), low);
      const __m512i pairs =
          _mm512_or_si512(_mm512_cvtepu16_epi32(up), _mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16));
      _mm512_storeu_si512(panels + (c / 64 * tile_rows + first + r) * 64 + c % 64 * 2, pairs);
    }
}

#else

inline void slab_to_bfloat16(const Slab<float>&, int64_t, int64_t, at::BFloat16*, at::BFloat16*) {}

#endif

}  // namespace mmclip
