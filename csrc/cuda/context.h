// What the host side asks of CUDA besides the kernels. Everything else it does through ATen, so that with another
// implementation of these functions and of launch.h it runs on CPU tensors.
#pragma once

#include <ATen/core/Tensor.h>

namespace mmclip::cuda {

// The stream that the current device's kernels are launched on: a cudaStream_t.
void* current_stream();

// out (+)= left right for bfloat16 matrices and a float32 result, accumulated in single precision.
void multiply(at::Tensor out, const at::Tensor& left, const at::Tensor& right, bool accumulate);

}  // namespace mmclip::cuda
