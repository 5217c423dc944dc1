// One primitive for every matrix product of the loss, out (+)= left right, by the faster of two libraries: MKL, behind
// at::mm, reaches AVX-512 on Intel's processors only; elsewhere oneDNN's small kernels are more than twice as fast in
// single precision (Zen 5: 225 against 90 GFLOP/s a core). The small kernels run within one thread, so that a thread
// can multiply its slab of a tile and use it while it is in the cache.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <type_traits>

namespace mmclip {

// A row-major matrix, whose rows are `stride` apart.
template <typename scalar>
struct Matrix {
  scalar* data;
  int64_t rows, columns, stride;

  Matrix below(int64_t row, int64_t count) const { return {data + row * stride, count, columns, stride}; }
};

template <typename scalar>
Matrix<scalar> matrix(const at::Tensor& t) {
  // The stride of a single row may be anything; the kernels want one that a matrix could have.
  return {t.data_ptr<scalar>(), t.size(0), t.size(1), std::max(t.stride(0), t.size(1))};
}

#if defined(CPUBLAS_BRGEMM_F32F32F32) && defined(CPU_CAPABILITY_AVX512)

// Whether the small kernels are wanted and run here; that they do not shows only as an error of the first call.
template <typename scalar>
bool small_kernels() {
  if (!std::is_same_v<scalar, float> || !at::globalContext().userEnabledMkldnn()) return false;
  static const bool work = [] {
    if (__builtin_cpu_is("intel")) return false;
    try {
      float zeros[256] = {}, out[256];
      at::native::cpublas::brgemm(16, 16, 16, 16, 16, 16, false, zeros, zeros, out);
      return true;
    } catch (const c10::Error&) {
      return false;
    }
  }();
  return work;
}

// out (+)= left right, in the calling thread.
inline void multiply_here(const Matrix<float>& out, const Matrix<float>& left, const Matrix<float>& right,
                          bool accumulate) {
  constexpr int64_t kRows = 64, kColumns = 128, kDepth = 512;  // panels that stay in the caches of one core
  const int64_t depth = left.columns;
  for (int64_t j = 0; j < out.columns; j += kColumns)
    for (int64_t i = 0; i < out.rows; i += kRows)
      for (int64_t l = 0; l < depth; l += kDepth)
        at::native::cpublas::brgemm(std::min(kRows, out.rows - i), std::min(kColumns, out.columns - j),
                                    std::min(kDepth, depth - l), left.stride, right.stride, out.stride,
                                    accumulate || l > 0, left.data + i * left.stride + l,
                                    right.data + l * right.stride + j, out.data + i * out.stride + j);
}

#else

template <typename scalar>
bool small_kernels() {
  return false;
}

#endif

template <typename scalar>
void multiply_here(const Matrix<scalar>&, const Matrix<scalar>&, const Matrix<scalar>&, bool) {
  TORCH_INTERNAL_ASSERT(false, "no small kernels for this type on this processor");
}

// out (+)= left right, by all threads; the columns of each matrix are adjacent in memory.
template <typename scalar>
void multiply(at::Tensor out, const at::Tensor& left, const at::Tensor& right, bool accumulate) {
  if (small_kernels<scalar>()) {
    const Matrix<scalar> o = matrix<scalar>(out), l = matrix<scalar>(left), r = matrix<scalar>(right);
    constexpr int64_t kShare = 64;
    at::parallel_for(0, (o.rows + kShare - 1) / kShare, 1, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * kShare, count = std::min(end * kShare, o.rows) - first;
      multiply_here(o.below(first, count), l.below(first, count), r, accumulate);
    });
  } else if (accumulate) {
    out.addmm_(left, right);
  } else {
    at::mm_out(out, left, right);
  }
}

}  // namespace mmclip
