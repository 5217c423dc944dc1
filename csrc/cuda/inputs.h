// The operators' inputs, checked as far as can be without reading a value, which would wait for the device.
#pragma once

#include <ATen/ATen.h>

#include "host.h"
#include "launch.h"

namespace mmclip::cuda {

// Whether tiles can take labels of this type and width; otherwise library products make the targets.
inline int64_t label_parts(const Tensor& labels) { return at::isIntegralType(labels.scalar_type(), true) ? 1 : 2; }

struct Inputs {
  Tensor x, y, logit_scale, a, b, row_group, column_group, excluded;  // contiguous; undefined where not given
  at::ScalarType type;                                                // the accumulate type
  double label_scale;
  bool cosine, labels, tensor_cores;  // tensor_cores: bfloat16 tiles (design B), else library products (design A)

  int64_t statistics() const { return labels ? kStatistics : kStatisticsOfLogits; }
  at::TensorOptions options() const { return x.options().dtype(type); }
};

inline Inputs checked(const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a,
                      const OptionalTensor& b, bool cosine, double label_scale, const OptionalTensor& row_group,
                      const OptionalTensor& column_group, const OptionalTensor& excluded) {
  constexpr int64_t kMost = int64_t(1) << 22;  // the tiles of a row are a launch's y, at most 65,535
  const int64_t n = x.size(0), m = y.size(0);
  TORCH_CHECK(x.dim() == 2 && y.dim() == 2 && x.size(1) == y.size(1), "x ", x.sizes(), " and y ", y.sizes(),
              " must be [N, D] and [M, D]");
  TORCH_CHECK(x.numel() > 0 && y.numel() > 0, "x ", x.sizes(), " and y ", y.sizes(), " must not be empty");
  TORCH_CHECK(n <= kMost && m <= kMost, "x ", x.sizes(), " and y ", y.sizes(), " must have at most ", kMost, " rows");
  const at::ScalarType dtype = x.scalar_type();
  TORCH_CHECK(dtype == y.scalar_type() && (dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16),
              "x (", dtype, ") and y (", y.scalar_type(), ") must be of one type: float32, float64 or bfloat16");
  TORCH_CHECK(logit_scale.numel() == 1, "logit_scale ", logit_scale.sizes(), " must be one number");
  TORCH_CHECK(a.has_value() == b.has_value(), "a and b are given together or not at all");
  TORCH_CHECK(row_group.has_value() == excluded.has_value() && column_group.has_value() == excluded.has_value(),
              "row_group, column_group and excluded are given together or not at all");
  const auto here = [&](const Tensor& tensor, const char* name) {
    TORCH_CHECK(tensor.device() == x.device(), name, " is on ", tensor.device(), ", x on ", x.device());
  };
  here(y, "y");
  here(logit_scale, "logit_scale");

  Inputs in{};
  in.type = dtype == at::kDouble ? at::kDouble : at::kFloat;
  in.cosine = cosine;
  in.label_scale = label_scale;
  in.labels = a.has_value();
  in.tensor_cores = dtype == at::kBFloat16;
  in.logit_scale = logit_scale.to(in.type).contiguous();
  if (in.labels) {
    TORCH_CHECK(a->dim() == 2 && b->dim() == 2 && a->size(0) == n && b->size(0) == m && a->size(1) == b->size(1) &&
                    a->size(1) > 0,
                "a ", a->sizes(), " and b ", b->sizes(), " must be [N, L] and [M, L]");
    const auto taken = [](at::ScalarType label) {
      return at::isFloatingType(label) || label == at::kByte || label == at::kBool;
    };
    TORCH_CHECK(taken(a->scalar_type()) && taken(b->scalar_type()), "a (", a->scalar_type(), ") and b (",
                b->scalar_type(), ") must be of a floating type, uint8 or bool");
    here(*a, "a");
    here(*b, "b");
    const int64_t parts = std::max(label_parts(*a), label_parts(*b));
    in.tensor_cores = in.tensor_cores && parts * a->size(1) <= 2 * kMostLabels;
    const auto rows = [&](const Tensor& labels) {
      if (!in.tensor_cores || parts == 2) return labels.to(in.type).contiguous();
      return labels.to(at::kByte).contiguous();
    };
    in.a = rows(*a);
    in.b = rows(*b);
  }
  if (excluded.has_value()) {
    TORCH_CHECK(excluded->dim() == 2 && excluded->size(0) == excluded->size(1) && excluded->scalar_type() == at::kBool,
                "excluded ", excluded->sizes(), " must be a bool matrix [G, G]");
    const auto ids = [&](const Tensor& group, int64_t size, const char* name) {
      TORCH_CHECK(group.dim() == 1 && group.size(0) == size && group.scalar_type() == at::kLong, name, " ",
                  group.sizes(), " must hold ", size, " int64 ids");
      here(group, name);
      return group.contiguous();
    };
    here(*excluded, "excluded");
    in.row_group = ids(*row_group, n, "row_group");
    in.column_group = ids(*column_group, m, "column_group");
    in.excluded = excluded->contiguous();
  }
  in.x = (in.tensor_cores ? x : x.to(in.type)).contiguous();
  in.y = (in.tensor_cores ? y : y.to(in.type)).contiguous();
  return in;
}

inline void check_shift(const Inputs& in, const Tensor& shift, int64_t size, const char* name) {
  const int64_t count = in.labels ? kShifts : kShiftsOfLogits;
  TORCH_CHECK(shift.dim() == 2 && shift.size(0) == count && shift.size(1) == size && shift.scalar_type() == in.type &&
                  shift.device() == in.x.device(),
              name, " ", shift.sizes(), " must be [", count, ", ", size, "] of ", in.type, " on ", in.x.device());
}

}  // namespace mmclip::cuda
