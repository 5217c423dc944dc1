// The two device operators for CUDA tensors; their contract is in csrc/ops.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>

namespace mmclip::cuda {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// How much memory, in bytes, a sweep may use beside inputs and results.
inline int64_t workspace = int64_t(128) << 20;

std::tuple<Tensor, Tensor> soft_contrastive_statistics(
    const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a, const OptionalTensor& b,
    bool cosine, double label_scale, const OptionalTensor& row_group, const OptionalTensor& column_group,
    const OptionalTensor& excluded);

std::tuple<Tensor, Tensor> soft_contrastive_gradient(
    const Tensor& x, const Tensor& y, const Tensor& logit_scale, const OptionalTensor& a, const OptionalTensor& b,
    bool cosine, double label_scale, const OptionalTensor& row_group, const OptionalTensor& column_group,
    const OptionalTensor& excluded, const Tensor& row_shift, const Tensor& column_shift);

}  // namespace mmclip::cuda
