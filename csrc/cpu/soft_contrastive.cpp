// The soft-target contrastive loss on the CPU: library products of a tile, vectorised loops for the rest.
//
// Both sweeps visit the tiles column block by column block. Memory beside the inputs and the results is a few tiles,
// the statistics and, in the backward sweep, one transposed copy of x. The order of every sum is fixed, so results do
// not depend on the number of threads beyond what the library's products themselves do.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "multiply.h"
#include "tile.h"

namespace mmclip {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// A transposed copy; contiguous() alone would return the matrix itself where it has one row or column.
Tensor transposed(const Tensor& matrix) { return matrix.t().clone(at::MemoryFormat::Contiguous); }

struct Inputs {
  Tensor x, y, a, b, row_ids, column_ids;
  double logit_scale, label_scale;
  bool by_labels;
};

Inputs checked(const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a,
               const OptionalTensor& b, const OptionalTensor& row_ids, const OptionalTensor& column_ids,
               double label_scale) {
  TORCH_CHECK(x.dim() == 2 && y.dim() == 2 && x.size(1) == y.size(1), "x ", x.sizes(), " and y ", y.sizes(),
              " must be [N, D] and [M, D]");
  TORCH_CHECK(x.size(0) > 0 && y.size(0) > 0, "x ", x.sizes(), " and y ", y.sizes(), " must not be empty");
  TORCH_CHECK(x.scalar_type() == y.scalar_type(), "x and y must be of one type");
  TORCH_CHECK(a.has_value() == b.has_value() && row_ids.has_value() == column_ids.has_value() &&
                  a.has_value() != row_ids.has_value(),
              "targets come from a and b, or from row_ids and column_ids");
  const auto type = at::promote_types(x.scalar_type(), at::kFloat);
  Inputs in{.x = x.to(type).contiguous(), .y = y.to(type).contiguous(), .logit_scale = logit_scale.item<double>(),
            .label_scale = label_scale, .by_labels = a.has_value()};
  if (in.by_labels) {
    TORCH_CHECK(a->dim() == 2 && b->dim() == 2 && a->size(0) == x.size(0) && b->size(0) == y.size(0) &&
                    a->size(1) == b->size(1),
                "a ", a->sizes(), " and b ", b->sizes(), " must be [N, L] and [M, L]");
    in.a = a->to(type).contiguous();
    in.b = b->to(type).contiguous();
  } else {
    TORCH_CHECK(row_ids->sizes() == x.sizes().slice(0, 1) && column_ids->sizes() == y.sizes().slice(0, 1),
                "row_ids ", row_ids->sizes(), " and column_ids ", column_ids->sizes(), " must be [N] and [M]");
    in.row_ids = row_ids->to(at::kLong).contiguous();
    in.column_ids = column_ids->to(at::kLong).contiguous();
  }
  return in;
}

// The tile that is being worked on: its place, and its logits and targets.
template <typename scalar>
class Tile {
 public:
  explicit Tile(const Inputs& in) : in_(in) {
    logits_ = at::empty({std::min(kTileRows, round_up(in.x.size(0), kGroup)), kTileColumns}, in.x.options());
    targets_ = at::empty_like(logits_);
  }

  // Moves to a block of columns, whose rows of y and of b are transposed and scaled once for all tiles of the block.
  void select_columns(int64_t start) {
    column = start;
    columns = std::min(kTileColumns, in_.y.size(0) - start);
    scaled_y_ = transposed(in_.y.narrow(0, column, columns)).mul_(in_.logit_scale);
    if (in_.by_labels) scaled_b_ = transposed(in_.b.narrow(0, column, columns)).mul_(in_.label_scale);
  }

  // Moves to a block of rows, computes the tile, and calls work(first row within the tile, slab) for each slab.
  template <typename Work>
  void select_rows(int64_t start, const Work& work) {
    row = start;
    rows = std::min(kTileRows, in_.x.size(0) - start);
    product(inside(logits_), in_.x, scaled_y_);
    if (in_.by_labels) product(inside(targets_), in_.a, scaled_b_);
    scalar* logits = logits_.template data_ptr<scalar>();
    scalar* targets = targets_.template data_ptr<scalar>();
    at::parallel_for(0, slabs(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        const int64_t first = s * kSlabRows, count = std::min(kSlabRows, rows - first);
        const Slab<scalar> slab{logits + first * kTileColumns, targets + first * kTileColumns,
                                round_up(count, kGroup), round_up(columns, Vector<scalar>::size())};
        slab_product(slab.logits, in_.x, scaled_y_, first, count);
        if (in_.by_labels) slab_product(slab.targets, in_.a, scaled_b_, first, count);
        finish(first, slab);
        work(first, slab);
      }
    });
  }

  int64_t slabs() const { return (rows + kSlabRows - 1) / kSlabRows; }
  Tensor logits() const { return inside(logits_); }

  int64_t row = 0, rows = 0, column = 0, columns = 0;

 private:
  // The tile's part of left right, all of it beforehand or, with small kernels, a slab at a time.
  void product(Tensor out, const Tensor& left, const Tensor& right) const {
    if (!small_kernels<scalar>()) at::mm_out(out, left.narrow(0, row, rows), right);
  }

  void slab_product(scalar* out, const Tensor& left, const Tensor& right, int64_t first, int64_t count) const {
    if (!small_kernels<scalar>()) return;
    multiply_here(Matrix<scalar>{out, count, columns, kTileColumns}, matrix<scalar>(left).below(row + first, count),
                  matrix<scalar>(right), false);
  }

  Tensor inside(const Tensor& buffer) const { return buffer.narrow(0, 0, rows).narrow(1, 0, columns); }

  // Targets by ids, and the ragged edges.
  void finish(int64_t first, const Slab<scalar>& slab) {
    for (int64_t r = 0; r < slab.rows; ++r) {
      const int64_t inside = first + r < rows ? columns : 0;
      scalar* line = slab.targets + r * kTileColumns;
      if (!in_.by_labels && inside > 0) {
        const int64_t id = in_.row_ids.const_data_ptr<int64_t>()[row + first + r];
        const int64_t* ids = in_.column_ids.const_data_ptr<int64_t>() + column;
        for (int64_t c = 0; c < inside; ++c) line[c] = ids[c] == id ? scalar(0) : scalar(kLeftOut);
      }
      std::fill(line + inside, line + slab.columns, scalar(kLeftOut));
      std::fill(slab.logits + r * kTileColumns + inside, slab.logits + r * kTileColumns + slab.columns,
                scalar(kLeftOut));
    }
  }

  const Inputs& in_;
  Tensor logits_, targets_, scaled_y_, scaled_b_;
};

// What the forward sweep has gathered of every row, or of every column, so far.
struct Side {
  explicit Side(int64_t size) : entries(size) {
    for (auto& entry : entries) entry[kPeakLogit] = entry[kPeakTarget] = kLeftOut;
  }

  // Adds one tile's entry, whose numbers are `stride` apart, to entry i.
  template <typename scalar>
  void add(int64_t i, const scalar* tile, int64_t stride) {
    auto& mine = entries[i];
    const auto rescale = [&](Entry peak, int begin, int end) {
      const double before = mine[peak], now = tile[peak * stride];
      const double both = now <= before ? before : now;  // NaN is kept
      const double keep = std::exp(before - both), take = std::exp(now - both);
      for (int s = begin; s < end; ++s) mine[s] = mine[s] * keep + tile[s * stride] * take;
      mine[peak] = both;
    };
    rescale(kPeakLogit, kExpLogits, kExpTargets);
    rescale(kPeakTarget, kExpTargets, kSums);
  }

  // Writes the log-sum-exps into `statistics` [kStatistics, size]; returns the mean loss and the mean floor of the
  // entries that have a target, which are zero where none has.
  template <typename scalar>
  std::pair<double, double> reduce(Tensor& statistics) const {
    auto out = statistics.accessor<scalar, 2>();
    double loss = 0, floor = 0;
    int64_t counted = 0;
    for (int64_t i = 0; i < int64_t(entries.size()); ++i) {
      const auto& entry = entries[i];
      const bool counts = !(entry[kPeakTarget] < kLeftOut / 2);  // NaN counts, and makes the loss NaN
      const double logits = entry[kPeakLogit] + std::log(entry[kExpLogits]);
      const double targets = entry[kPeakTarget] + std::log(entry[kExpTargets]);
      out[kLogSumExpLogits][i] = counts ? scalar(logits) : scalar(kNoTarget);
      out[kLogSumExpTargets][i] = counts ? scalar(targets) : scalar(kNoTarget);
      if (!counts) continue;
      loss += logits - entry[kTargetsTimesLogits] / entry[kExpTargets];
      floor += targets - entry[kTargetsTimesTargets] / entry[kExpTargets];
      ++counted;
    }
    const double divisor = std::max<int64_t>(counted, 1);
    return {loss / divisor, floor / divisor};
  }

  std::vector<std::array<double, kEntries>> entries;
};

template <typename scalar>
std::tuple<Tensor, Tensor, Tensor, Tensor> forward(const Inputs& in) {
  const int64_t n = in.x.size(0), m = in.y.size(0);
  const auto options = in.x.options();
  Tile<scalar> tile(in);
  Side rows(n), columns(m);
  std::vector<scalar> by_row(kTileRows * kEntries), by_column(kSlabs * kEntries * kTileColumns);
  for (int64_t j = 0; j < m; j += kTileColumns) {
    tile.select_columns(j);
    for (int64_t i = 0; i < n; i += kTileRows) {
      tile.select_rows(i, [&](int64_t first, const Slab<scalar>& slab) {
        scalar* own = by_row.data() + first * kEntries;
        slab_entries(slab, own, by_column.data() + first / kSlabRows * kEntries * kTileColumns);
        for (int64_t r = 0; r < std::min(slab.rows, tile.rows - first); ++r)
          rows.add(i + first + r, own + r * kEntries, 1);
      });
      merge_slabs(by_column.data(), tile.slabs(), tile.columns);
      for (int64_t c = 0; c < tile.columns; ++c) columns.add(j + c, by_column.data() + c, kTileColumns);
    }
  }
  Tensor row_statistics = at::empty({kStatistics, n}, options), column_statistics = at::empty({kStatistics, m}, options);
  const auto [row_loss, row_floor] = rows.reduce<scalar>(row_statistics);
  const auto [column_loss, column_floor] = columns.reduce<scalar>(column_statistics);
  return {at::scalar_tensor((row_loss + column_loss) / 2, options),
          at::scalar_tensor((row_floor + column_floor) / 2, options), row_statistics, column_statistics};
}

// The statistics extended to whole tiles, so that vectors may be read past the end.
Tensor extended(const Tensor& statistics) {
  const int64_t size = statistics.size(1);
  return at::constant_pad_nd(statistics, {0, round_up(size, kTileRows) - size}, kNoTarget);
}

// Half of one over the number of rows (or columns) that have a target.
double weight(const Tensor& statistics) {
  const auto counted = (statistics[kLogSumExpTargets] < kNoTarget / 2).sum().item<int64_t>();
  return 0.5 / std::max<int64_t>(counted, 1);
}

template <typename scalar>
std::tuple<Tensor, Tensor, Tensor> backward(const Inputs& in, double grad_loss, const Tensor& row_statistics,
                                            const Tensor& column_statistics) {
  const Tensor rows = extended(row_statistics), columns = extended(column_statistics);
  const scalar row_weight = weight(row_statistics), column_weight = weight(column_statistics);
  const auto row = rows.accessor<scalar, 2>(), column = columns.accessor<scalar, 2>();
  const Tensor x_t = transposed(in.x);
  Tensor grad_x = at::zeros_like(in.x), grad_y = at::empty_like(in.y);
  double grad_scale = 0;
  Tile<scalar> tile(in);
  for (int64_t j = 0; j < in.y.size(0); j += kTileColumns) {
    tile.select_columns(j);
    const Tensor y = in.y.narrow(0, j, tile.columns);
    Tensor grad_y_t = at::empty({x_t.size(0), tile.columns}, in.x.options());
    for (int64_t i = 0; i < in.x.size(0); i += kTileRows) {
      tile.select_rows(i, [&](int64_t first, const Slab<scalar>& slab) {
        slab_gradient(slab, Normalisers<scalar>{&row[kLogSumExpLogits][i + first], &row[kLogSumExpTargets][i + first],
                                                &column[kLogSumExpLogits][j], &column[kLogSumExpTargets][j],
                                                row_weight, column_weight});
        if (!small_kernels<scalar>()) return;
        const int64_t count = std::min(slab.rows, tile.rows - first);
        multiply_here(matrix<scalar>(grad_x).below(i + first, count),
                      Matrix<scalar>{slab.logits, count, tile.columns, kTileColumns}, matrix<scalar>(y), true);
      });
      const Tensor gradient = tile.logits();
      if (!small_kernels<scalar>()) grad_x.narrow(0, i, tile.rows).addmm_(gradient, y);
      multiply<scalar>(grad_y_t, x_t.narrow(1, i, tile.rows), gradient, i > 0);
    }
    grad_y.narrow(0, j, tile.columns).copy_(grad_y_t.t());
    grad_scale += (y.t() * grad_y_t).sum(at::kDouble).template item<double>();
  }
  const double factor = grad_loss * in.logit_scale;
  return {grad_x.mul_(factor), grad_y.mul_(factor), at::scalar_tensor(grad_loss * grad_scale, in.x.options())};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> soft_contrastive_forward(
    const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a, const OptionalTensor& b,
    const OptionalTensor& row_ids, const OptionalTensor& column_ids, double label_scale) {
  const Inputs in = checked(x, y, logit_scale, a, b, row_ids, column_ids, label_scale);
  return x.scalar_type() == at::kDouble ? forward<double>(in) : forward<float>(in);
}

std::tuple<Tensor, Tensor, Tensor> soft_contrastive_backward(
    const Tensor& grad_loss, const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a,
    const OptionalTensor& b, const OptionalTensor& row_ids, const OptionalTensor& column_ids, double label_scale,
    const Tensor& row_statistics, const Tensor& column_statistics) {
  const Inputs in = checked(x, y, logit_scale, a, b, row_ids, column_ids, label_scale);
  const double outer = grad_loss.item<double>();
  auto [grad_x, grad_y, grad_scale] = x.scalar_type() == at::kDouble
                                          ? backward<double>(in, outer, row_statistics, column_statistics)
                                          : backward<float>(in, outer, row_statistics, column_statistics);
  return {grad_x.to(x.scalar_type()), grad_y.to(y.scalar_type()), grad_scale.to(logit_scale.scalar_type())};
}

}  // namespace

TORCH_LIBRARY_IMPL(mmclip, CPU, m) {
  m.impl("soft_contrastive_forward", &soft_contrastive_forward);
  m.impl("soft_contrastive_backward", &soft_contrastive_backward);
}

}  // namespace mmclip
