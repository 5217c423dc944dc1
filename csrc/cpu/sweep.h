// The visit of all tiles of the batch, row block by row block: products by the library, one slab at a time to the caller.
//
// Memory beside the inputs is one tile, converted or transposed copies of a block of x and of y, and a slab a thread.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <type_traits>

#include "inputs.h"
#include "multiply.h"
#include "tile.h"

namespace mmclip {

// A transposed copy; contiguous() alone would return the matrix itself where it has one row or column.
inline Tensor transposed(const Tensor& matrix) { return matrix.t().clone(at::MemoryFormat::Contiguous); }

// `scalar` is the accumulate type; `element` what x and y are multiplied in: `scalar`, or bfloat16.
template <typename scalar, typename element>
class Sweep {
 public:
  static constexpr bool bfloat = std::is_same_v<element, BFloat16>;

  // keep: the logits of a whole tile are wanted after its slabs have been visited.
  Sweep(const Inputs& in, bool keep) : in_(in), in_place_(small_kernels<element>() && !keep) {
    const auto options = in.x.options().dtype(in.type);
    const int64_t height = std::min(kTileRows, round_up(in.x.size(0), kGroup));
    if (!in_place_) tile_ = at::empty({height, kTileColumns}, options);
    if (in.labels) b_t_ = at::zeros({in.b.size(1), kTileColumns}, options);
  }

  void select_rows(int64_t start) {
    row = start;
    rows = std::min(kTileRows, in_.x.size(0) - start);
    x = in_.x.narrow(0, row, rows).to(c10::CppTypeToScalarType<element>::value);
  }

  // Moves to a block of columns, whose rows of y and of b are transposed once for all slabs of the tile.
  void select_columns(int64_t start) {
    column = start;
    columns = std::min(kTileColumns, in_.y.size(0) - start);
    y = in_.y.narrow(0, column, columns).to(c10::CppTypeToScalarType<element>::value);
    y_t_ = bfloat ? panels_of_transpose(y) : transposed(y).mul_(in_.logit_scale);
    if (in_.labels) b_t_.zero_().narrow(1, 0, columns).copy_(in_.b.narrow(0, column, columns).t());
    if (in_.leaves_out) left_out_ = in_.excluded.index_select(1, in_.column_group.narrow(0, column, columns));
  }

  // Computes the tile and calls work(first row within the tile, number of its rows, slab) for each slab.
  template <typename Work>
  void visit(const Work& work) {
    if (!small_kernels<element>()) {
      Tensor whole = logits();
      at::mm_out(whole, x, y_t_);
    }
    at::parallel_for(0, slabs(), 1, [&](int64_t begin, int64_t end) {
      const auto options = in_.x.options().dtype(in_.type);
      const Tensor logits = in_place_ ? at::empty({kSlabRows, kTileColumns}, options) : Tensor();
      const Tensor targets = in_.labels ? at::empty({kSlabRows, kTileColumns}, options) : Tensor();
      for (int64_t s = begin; s < end; ++s) {
        const int64_t first = s * kSlabRows, count = std::min(kSlabRows, rows - first);
        scalar* place = in_place_ ? logits.data_ptr<scalar>() : tile_.data_ptr<scalar>() + first * kTileColumns;
        const Slab<scalar> slab{place, in_.labels ? targets.data_ptr<scalar>() : nullptr, round_up(count, kGroup),
                                round_up(columns, Vector<scalar>::size())};
        multiply_slab(place, first, count);
        if (in_.labels)
          slab_targets(slab, in_.a.const_data_ptr<scalar>() + (row + first) * in_.a.size(1), count, in_.a.size(1),
                       b_t_.const_data_ptr<scalar>());
        leave_out(slab, first, count);
        work(first, count, slab);
      }
    });
  }

  int64_t slabs() const { return (rows + kSlabRows - 1) / kSlabRows; }
  Tensor logits() const { return tile_.narrow(0, 0, rows).narrow(1, 0, columns); }

  int64_t row = 0, rows = 0, column = 0, columns = 0;
  Tensor x, y;  // the tile's rows of both, of type `element`

 private:
  void multiply_slab(scalar* out, int64_t first, int64_t count) const {
    if (!small_kernels<element>()) return;
    const auto left = matrix<element>(x).below(first, count);
    if constexpr (bfloat) {
      const Panels right{reinterpret_cast<const BFloat16*>(y_t_.const_data_ptr<int32_t>()), x.size(1), columns};
      multiply_here(Matrix<float>{out, count, round_up(columns, kPanel), kTileColumns}, left, right, false);
      const Vector<float> scale(in_.logit_scale);
      for (int64_t i = 0; i < count * kTileColumns; i += Vector<float>::size())
        (Vector<float>::loadu(out + i) * scale).store(out + i);
    } else {
      multiply_here(Matrix<scalar>{out, count, columns, kTileColumns}, left, matrix<scalar>(y_t_), false);
    }
  }

  // The excluded pairs, and the ragged edges.
  void leave_out(const Slab<scalar>& slab, int64_t first, int64_t count) const {
    for (int64_t r = 0; r < slab.rows; ++r) {
      const int64_t inside = r < count ? columns : 0, start = r * kTileColumns;
      std::fill(slab.logits + start + inside, slab.logits + start + slab.columns, scalar(kLeftOut));
      if (in_.labels)
        std::fill(slab.targets + start + inside, slab.targets + start + slab.columns, scalar(kLeftOut));
      if (!in_.leaves_out || inside == 0) continue;
      const bool* out = left_out_.const_data_ptr<bool>() +
                        in_.row_group.const_data_ptr<int64_t>()[row + first + r] * columns;
      replace(slab.logits + start, out, inside);
      if (in_.labels) replace(slab.targets + start, out, inside);
    }
  }

  static void replace(scalar* __restrict values, const bool* __restrict out, int64_t count) {
    for (int64_t c = 0; c < count; ++c) values[c] = out[c] ? scalar(kLeftOut) : values[c];
  }

  const Inputs& in_;
  const bool in_place_;  // a slab's logits are used where they are computed, in a thread's own memory
  Tensor tile_, y_t_, b_t_;
  Tensor left_out_;  // which groups are excluded from the groups of these columns, [G, columns]
};

}  // namespace mmclip
