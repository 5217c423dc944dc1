// The soft-target contrastive loss on the CPU: library products of a tile, vectorised loops for the rest.
//
// The order of every sum is fixed, so results do not depend on the number of threads beyond what the library's products
// themselves do.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "inputs.h"
#include "multiply.h"
#include "sweep.h"
#include "tile.h"

namespace mmclip {
namespace {

// One bound b serves as the peak of every row while e^{-2b}, the smallest summand, is a normal float by a wide margin.
constexpr double kLargestBound = 40;

// What the statistics sweep has gathered of every row, or of every column, so far.
class Side {
 public:
  Side(int64_t size, bool labels) : entries_(size), labels_(labels) {
    for (auto& entry : entries_) entry[kPeakLogit] = entry[kPeakTarget] = kLeftOut;
  }

  // Adds one tile's statistics, whose numbers are `stride` apart, to those of entry i.
  template <typename scalar>
  void add(int64_t i, const scalar* tile, int64_t stride) {
    auto& mine = entries_[i];
    const auto merge = [&](int64_t peak, int64_t end) {
      const double before = mine[peak], now = tile[peak * stride];
      if (now > before) {
        const double keep = std::exp(before - now);
        for (int64_t s = peak + 1; s < end; ++s) mine[s] = mine[s] * keep + tile[s * stride];
        mine[peak] = now;
      } else {
        const double take = now == before ? 1 : std::exp(now - before);
        for (int64_t s = peak + 1; s < end; ++s) mine[s] += tile[s * stride] * take;
      }
    };
    merge(kPeakLogit, kPeakTarget);
    if (labels_) merge(kPeakTarget, kStatistics);
  }

  // The statistics [kStatistics or kStatisticsOfLogits, size].
  template <typename scalar>
  Tensor tensor(const at::TensorOptions& options) const {
    const int64_t count = labels_ ? kStatistics : kStatisticsOfLogits, size = entries_.size();
    Tensor out = at::empty({count, size}, options);
    auto view = out.accessor<scalar, 2>();
    for (int64_t i = 0; i < size; ++i) {
      const auto& mine = entries_[i];
      // Nothing to sum: each summand was 0 below a bound, or 1 below its own peak.
      const bool nothing = mine[kSumLogits] == 0 || mine[kPeakLogit] < kLeftOut / 2;
      for (int64_t s = 0; s < count; ++s) view[s][i] = nothing ? 0 : mine[s];
      if (nothing) view[kPeakLogit][i] = kLeftOut;
      if (nothing && labels_) view[kPeakTarget][i] = kLeftOut;
    }
    return out;
  }

 private:
  std::vector<std::array<double, kStatistics>> entries_;
  bool labels_;
};

// Calls work(Form) with the form of exponentials that suits the inputs.
template <typename Work>
auto with_form(const Inputs& in, const Work& work) {
  const bool logits = in.logit_bound <= kLargestBound, targets = in.target_bound <= kLargestBound;
  if (!in.labels) return logits ? work(Form<false, true, true>{}) : work(Form<false, false, true>{});
  if (targets) return logits ? work(Form<true, true, true>{}) : work(Form<true, false, true>{});
  return logits ? work(Form<true, true, false>{}) : work(Form<true, false, false>{});
}

// Calls work(accumulate type, type of the products) with zeros of the types that suit the inputs.
template <typename Work>
auto with_types(const Inputs& in, const Work& work) {
  if (in.type == at::kDouble) return work(double(), double());
  const bool pairs = in.x.size(1) % 2 == 0;  // the small kernels multiply two numbers of a row at a time
  if (in.x.scalar_type() == at::kBFloat16 && pairs && small_kernels<BFloat16>()) return work(float(), BFloat16());
  return work(float(), float());
}

bool finite(const Inputs& in) { return std::isfinite(in.logit_bound) && std::isfinite(in.target_bound); }

Tensor not_a_number(const Inputs& in, int64_t rows, int64_t columns) {
  return at::full({rows, columns}, std::numeric_limits<double>::quiet_NaN(), in.x.options().dtype(in.type));
}

template <typename Form, typename scalar, typename element>
std::tuple<Tensor, Tensor> statistics(const Inputs& in) {
  const int64_t n = in.x.size(0), m = in.y.size(0);
  const Bounds<scalar> bounds{scalar(in.logit_bound), scalar(in.target_bound)};
  Sweep<scalar, element> sweep(in, false);
  Side rows(n, in.labels), columns(m, in.labels);
  std::vector<scalar> by_row(std::min(n + kSlabRows, kTileRows) * kStatistics);
  std::vector<scalar> by_column(std::min(n / kSlabRows + 1, kSlabs) * kStatistics * kTileColumns);
  for (int64_t i = 0; i < n; i += kTileRows) {
    sweep.select_rows(i);
    for (int64_t j = 0; j < m; j += kTileColumns) {
      sweep.select_columns(j);
      sweep.visit([&](int64_t first, int64_t count, const Slab<scalar>& slab) {
        scalar* own = by_row.data() + first * kStatistics;
        slab_statistics<Form>(slab, bounds, own, by_column.data() + first / kSlabRows * kStatistics * kTileColumns);
        for (int64_t r = 0; r < count; ++r) rows.add(i + first + r, own + r * kStatistics, 1);
      });
      merge_slabs(by_column.data(), sweep.slabs(), sweep.columns, in.labels);
      for (int64_t c = 0; c < sweep.columns; ++c) columns.add(j + c, by_column.data() + c, kTileColumns);
    }
  }
  const auto options = in.x.options().dtype(in.type);
  return {rows.tensor<scalar>(options), columns.tensor<scalar>(options)};
}

// The numbers the gradient takes of rows or columns (tile.h, Normalisers), [2, size], extended to whole tiles so that
// vectors may be read past the end.
template <typename Form>
Tensor normalisers(const Tensor& shift, const Inputs& in, int64_t tile) {
  const int64_t size = shift.size(1);
  Tensor out = at::full({kShifts, round_up(size, tile)}, kNoTarget, shift.options());
  out.narrow(0, 0, shift.size(0)).narrow(1, 0, size).copy_(shift);
  if (Form::one_logit_peak) out[kShiftOfLogits].neg_().add_(in.logit_bound).exp_();
  if (Form::one_target_peak) out[kShiftOfTargets].neg_().add_(in.target_bound).exp_();
  return out;
}

// out += (left right)^T, [columns of right, rows of left], by all threads.
template <typename element, typename Right>
void add_transposed_product(Tensor out, const Tensor& left, const Right& right) {
  constexpr int64_t kRows = 64, kColumns = 128;
  const int64_t rows = left.size(0), columns = out.size(0), across = (columns + kColumns - 1) / kColumns;
  float* target = out.data_ptr<float>();
  at::parallel_for(0, (rows + kRows - 1) / kRows * across, 1, [&](int64_t begin, int64_t end) {
    float buffer[kRows * kColumns];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / across * kRows, column = task % across * kColumns;
      const int64_t height = std::min(kRows, rows - row), width = std::min(kColumns, columns - column);
      multiply_here(Matrix<float>{buffer, height, width, kColumns}, matrix<element>(left).below(row, height),
                    right(column, width), false);
      for (int64_t c = 0; c < width; ++c)
        for (int64_t r = 0; r < height; ++r) target[(column + c) * rows + row + r] += buffer[r * kColumns + c];
    }
  });
}

template <typename Form, typename scalar, typename element>
std::tuple<Tensor, Tensor> gradient(const Inputs& in, const Tensor& row_shift, const Tensor& column_shift) {
  const int64_t n = in.x.size(0), m = in.y.size(0), d = in.x.size(1);
  const auto options = in.x.options().dtype(in.type);
  const Bounds<scalar> bounds{scalar(in.logit_bound), scalar(in.target_bound)};
  const Tensor by_row = normalisers<Form>(row_shift, in, kSlabRows);
  const Tensor by_column = normalisers<Form>(column_shift, in, kTileColumns);
  const auto row = by_row.accessor<scalar, 2>(), column = by_column.accessor<scalar, 2>();
  Tensor grad_x = at::zeros({n, d}, options), grad_y = at::zeros({m, d}, options);
  constexpr bool bfloat = Sweep<scalar, element>::bfloat;
  const bool small = small_kernels<element>();
  Sweep<scalar, element> sweep(in, !bfloat);
  const int64_t height = std::min(kTileRows, round_up(n, kGroup));
  const Tensor g_panels = bfloat ? at::empty({kTileColumns / kPanel, height, kPanel}, in.x.options()) : Tensor();
  for (int64_t i = 0; i < n; i += kTileRows) {
    sweep.select_rows(i);
    const int64_t even = round_up(sweep.rows, kGroup);
    Tensor x_t = small ? at::zeros({d, bfloat ? even : sweep.rows}, sweep.x.options()) : Tensor();
    if (small) x_t.narrow(1, 0, sweep.rows).copy_(sweep.x.t());
    for (int64_t j = 0; j < m; j += kTileColumns) {
      sweep.select_columns(j);
      const Tensor y_panels = bfloat ? panels_of(sweep.y) : Tensor();
      sweep.visit([&](int64_t first, int64_t count, const Slab<scalar>& slab) {
        slab_gradient<Form>(slab, bounds, Normalisers<scalar>{&row[0][i + first], &row[1][i + first], &column[0][j],
                                                              &column[1][j]});
        if (!small) return;
        const auto out = matrix<scalar>(grad_x).below(i + first, count);
        if constexpr (bfloat) {
          BFloat16 left[kSlabRows * kTileColumns];
          slab_to_bfloat16(slab, first, even, left, g_panels.data_ptr<BFloat16>());
          const int64_t depth = round_up(sweep.columns, 2);
          multiply_here(out, Matrix<BFloat16>{left, count, depth, kTileColumns},
                        Panels{y_panels.const_data_ptr<BFloat16>(), depth, d}, true);
        } else {
          multiply_here(out, Matrix<scalar>{slab.logits, count, sweep.columns, kTileColumns}, matrix<scalar>(sweep.y),
                        true);
        }
      });
      const Tensor out = grad_y.narrow(0, j, sweep.columns);
      if constexpr (bfloat) {
        add_transposed_product<BFloat16>(out, x_t, [&](int64_t c, int64_t width) {
          return Panels{g_panels.const_data_ptr<BFloat16>() + c * even, even, width};
        });
      } else if (small) {
        if constexpr (std::is_same_v<element, float>)
          add_transposed_product<float>(out, x_t, [&](int64_t c, int64_t width) {
            return matrix<float>(sweep.logits().narrow(1, c, width));
          });
      } else {
        grad_x.narrow(0, i, sweep.rows).addmm_(sweep.logits(), sweep.y);
        out.addmm_(sweep.logits().t(), sweep.x);
      }
    }
  }
  return {grad_x, grad_y};
}

std::tuple<Tensor, Tensor> soft_contrastive_statistics(const Tensor& x, const Tensor& y, const Tensor& logit_scale,
                                                       const OptionalTensor& a, const OptionalTensor& b, bool cosine,
                                                       double label_scale, const OptionalTensor& row_group,
                                                       const OptionalTensor& column_group,
                                                       const OptionalTensor& excluded) {
  const Inputs in = checked(x, y, logit_scale, a, b, cosine, label_scale, row_group, column_group, excluded);
  const int64_t count = in.labels ? kStatistics : kStatisticsOfLogits;
  if (!finite(in)) return {not_a_number(in, count, x.size(0)), not_a_number(in, count, y.size(0))};
  return with_form(in, [&](auto form) {
    return with_types(in, [&](auto scalar, auto element) {
      return statistics<decltype(form), decltype(scalar), decltype(element)>(in);
    });
  });
}

std::tuple<Tensor, Tensor> soft_contrastive_gradient(const Tensor& x, const Tensor& y, const Tensor& logit_scale,
                                                     const OptionalTensor& a, const OptionalTensor& b, bool cosine,
                                                     double label_scale, const OptionalTensor& row_group,
                                                     const OptionalTensor& column_group,
                                                     const OptionalTensor& excluded, const Tensor& row_shift,
                                                     const Tensor& column_shift) {
  const Inputs in = checked(x, y, logit_scale, a, b, cosine, label_scale, row_group, column_group, excluded);
  const int64_t count = in.labels ? kShifts : kShiftsOfLogits;
  const auto check = [&](const Tensor& shift, const Tensor& rows, const char* name) {
    TORCH_CHECK(shift.dim() == 2 && shift.size(0) == count && shift.size(1) == rows.size(0) &&
                    shift.scalar_type() == in.type,
                name, " ", shift.sizes(), " must be [", count, ", ", rows.size(0), "] of ", in.type);
  };
  check(row_shift, x, "row_shift");
  check(column_shift, y, "column_shift");
  if (!finite(in)) return {not_a_number(in, x.size(0), x.size(1)), not_a_number(in, y.size(0), y.size(1))};
  return with_form(in, [&](auto form) {
    return with_types(in, [&](auto scalar, auto element) {
      return gradient<decltype(form), decltype(scalar), decltype(element)>(in, row_shift, column_shift);
    });
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(mmclip, CPU, m) {
  m.impl("soft_contrastive_statistics", &soft_contrastive_statistics);
  m.impl("soft_contrastive_gradient", &soft_contrastive_gradient);
}

}  // namespace mmclip
