// The kernels compiled, and their launches. No torch header: it would take a minute more to compile.
#include <cuda_runtime.h>

#include <cstdint>

namespace mmclip {

template <typename Args>
const char* launch(void (*kernel)(Args), const Args& args, int64_t x, int64_t y, int shared, void* stream) {
  cudaError_t error = cudaSuccess;
  if (shared > 0) error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (error == cudaSuccess) {
    const dim3 grid(static_cast<unsigned>(x), static_cast<unsigned>(y)), block(256);
    kernel<<<grid, block, shared, static_cast<cudaStream_t>(stream)>>>(args);
    error = cudaGetLastError();
  }
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace mmclip

#include "launches.cuh"
