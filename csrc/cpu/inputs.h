// What the operators are given, checked and prepared for the CPU.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <optional>

namespace mmclip {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

struct Inputs {
  Tensor x, y;                               // contiguous, of their own type
  Tensor a, b;                               // contiguous, of the accumulate type; a multiplied by label_scale
  Tensor row_group, column_group, excluded;  // contiguous
  double logit_scale;
  double logit_bound, target_bound;  // |S| and |T| are at most this; not finite if an input is not
  at::ScalarType type;               // the accumulate type
  bool labels, leaves_out;
};

// The length of the longest row.
inline double longest(const Tensor& rows) {
  const auto type = at::promote_types(rows.scalar_type(), at::kFloat);
  const double length = at::linalg_vector_norm(rows, 2, {1}, false, type).max().item<double>();
  // Squares overflow long before the vectors do.
  return std::isinf(length) ? rows.abs().max().item<double>() * std::sqrt(double(rows.size(1))) : length;
}

inline void check_labels(Inputs& in, const OptionalTensor& a, const OptionalTensor& b, bool cosine,
                         double label_scale) {
  TORCH_CHECK(a.has_value() == b.has_value(), "a and b are given together or not at all");
  in.labels = a.has_value();
  in.target_bound = 0;
  if (!in.labels) return;
  TORCH_CHECK(a->dim() == 2 && b->dim() == 2 && a->size(0) == in.x.size(0) && b->size(0) == in.y.size(0) &&
                  a->size(1) == b->size(1) && a->size(1) > 0,
              "a ", a->sizes(), " and b ", b->sizes(), " must be [N, L] and [M, L]");
  in.a = a->to(in.type).contiguous();
  in.b = b->to(in.type).contiguous();
  if (cosine) {
    const auto unit = [](const Tensor& rows) {
      return rows / at::linalg_vector_norm(rows, 2, {1}, true).clamp_min(1e-12);
    };
    in.a = unit(in.a);
    in.b = unit(in.b);
  }
  in.target_bound = label_scale * longest(in.a) * longest(in.b);
  in.a = in.a * label_scale;
}

inline void check_groups(Inputs& in, const OptionalTensor& row_group, const OptionalTensor& column_group,
                         const OptionalTensor& excluded) {
  in.leaves_out = excluded.has_value();
  TORCH_CHECK(row_group.has_value() == in.leaves_out && column_group.has_value() == in.leaves_out,
              "row_group, column_group and excluded are given together or not at all");
  if (!in.leaves_out) return;
  TORCH_CHECK(excluded->dim() == 2 && excluded->size(0) == excluded->size(1) && excluded->scalar_type() == at::kBool,
              "excluded ", excluded->sizes(), " must be a bool matrix [G, G]");
  const auto ids = [&](const Tensor& group, int64_t size, const char* name) {
    TORCH_CHECK(group.dim() == 1 && group.size(0) == size && group.scalar_type() == at::kLong, name, " ",
                group.sizes(), " must hold ", size, " int64 ids");
    TORCH_CHECK(group.min().item<int64_t>() >= 0 && group.max().item<int64_t>() < excluded->size(0), name,
                " holds ids beyond excluded ", excluded->sizes());
    return group.contiguous();
  };
  in.row_group = ids(*row_group, in.x.size(0), "row_group");
  in.column_group = ids(*column_group, in.y.size(0), "column_group");
  in.excluded = excluded->contiguous();
}

inline Inputs checked(const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a,
                      const OptionalTensor& b, bool cosine, double label_scale, const OptionalTensor& row_group,
                      const OptionalTensor& column_group, const OptionalTensor& excluded) {
  TORCH_CHECK(x.dim() == 2 && y.dim() == 2 && x.size(1) == y.size(1), "x ", x.sizes(), " and y ", y.sizes(),
              " must be [N, D] and [M, D]");
  TORCH_CHECK(x.numel() > 0 && y.numel() > 0, "x ", x.sizes(), " and y ", y.sizes(), " must not be empty");
  const auto type = x.scalar_type();
  TORCH_CHECK(type == y.scalar_type() && (type == at::kFloat || type == at::kDouble || type == at::kBFloat16), "x (",
              type, ") and y (", y.scalar_type(), ") must be of one type: float32, float64 or bfloat16");
  TORCH_CHECK(logit_scale.numel() == 1, "logit_scale ", logit_scale.sizes(), " must be one number");
  Inputs in{};
  in.x = x.contiguous();
  in.y = y.contiguous();
  in.type = at::promote_types(type, at::kFloat);
  in.logit_scale = logit_scale.item<double>();
  in.logit_bound = std::abs(in.logit_scale) * longest(in.x) * longest(in.y);
  check_labels(in, a, b, cosine, label_scale);
  check_groups(in, row_group, column_group, excluded);
  return in;
}

}  // namespace mmclip
