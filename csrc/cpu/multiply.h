// The matrix products of the loss, out (+)= left right, by the fastest library for the type and the processor.
//
// float     oneDNN's small kernels, or MKL behind at::mm, which reaches AVX-512 on Intel's processors only (Zen 5: 90
//           against 225 GFLOP/s a core)
// double    at::mm
// bfloat16  oneDNN's small kernels, with float sums, where the processor has such products; elsewhere the blocks are
//           converted to float beforehand
//
// The small kernels run within one thread, so that a thread can multiply its slab of a tile and use it while it is in
// the cache.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace mmclip {

using at::BFloat16;

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

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

// The right side of a bfloat16 product, [rows, columns], as the kernels read it: panels of kPanel columns, each
// [rows / 2][kPanel][2], so that two rows that are multiplied and summed together are neighbours. Padded with zeros.
constexpr int64_t kPanel = 64;
struct Panels {
  const BFloat16* data;
  int64_t rows, columns;  // rows is even
};

#if defined(CPUBLAS_BRGEMM_F32F32F32) && defined(CPUBLAS_BRGEMM_BF16BF16F32) && defined(CPU_CAPABILITY_AVX512)

// Whether the small kernels are wanted and run here; that they do not shows only as an error of the first call.
template <typename element>
bool small_kernels() {
  if (std::is_same_v<element, double> || !at::globalContext().userEnabledMkldnn()) return false;
  static const bool work = [] {
    const bool wanted = std::is_same_v<element, float> ? !__builtin_cpu_is("intel")
                                                       : bool(__builtin_cpu_supports("avx512bf16"));
    if (!wanted) return false;
    try {
      element zeros[256] = {};
      float out[256];
      if constexpr (!std::is_same_v<element, double>)
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

inline void multiply_here(const Matrix<float>& out, const Matrix<BFloat16>& left, const Panels& right,
                          bool accumulate) {
  constexpr int64_t kRows = 64, kDepth = 1024;
  for (int64_t j = 0; j < out.columns; j += kPanel)
    for (int64_t i = 0; i < out.rows; i += kRows)
      for (int64_t l = 0; l < right.rows; l += kDepth)
        at::native::cpublas::brgemm(std::min(kRows, out.rows - i), std::min(kPanel, out.columns - j),
                                    std::min(kDepth, right.rows - l), left.stride, kPanel, out.stride,
                                    accumulate || l > 0, left.data + i * left.stride + l,
                                    right.data + j * right.rows + l * kPanel, out.data + i * out.stride + j);
}

#else

template <typename element>
bool small_kernels() {
  return false;
}

#endif

template <typename... Arguments>
void multiply_here(const Arguments&...) {
  TORCH_INTERNAL_ASSERT(false, "no small kernels for this type on this processor");
}

// The panels of the transpose of `rows` [columns of the result, its rows]; the number of its rows is even.
inline at::Tensor panels_of_transpose(const at::Tensor& rows) {
  const int64_t columns = rows.size(0), pairs = rows.size(1) / 2, panels = (columns + kPanel - 1) / kPanel;
  at::Tensor out = at::empty({panels, pairs, kPanel}, rows.options().dtype(at::kInt));
  const BFloat16* source = rows.const_data_ptr<BFloat16>();
  int32_t* target = out.data_ptr<int32_t>();
  at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin * kPanel; c < end * kPanel; ++c)
      for (int64_t p = 0; p < pairs; ++p) {
        int32_t pair = 0;
        if (c < columns) std::memcpy(&pair, source + (c * pairs + p) * 2, sizeof pair);
        target[(c / kPanel * pairs + p) * kPanel + c % kPanel] = pair;
      }
  });
  return out;
}

// The panels of `rows` [rows of the result, its columns], with a row of zeros more where their number is odd.
inline at::Tensor panels_of(const at::Tensor& rows) {
  const int64_t count = rows.size(0), columns = rows.size(1), pairs = (count + 1) / 2;
  const int64_t panels = (columns + kPanel - 1) / kPanel;
  at::Tensor out = at::zeros({panels, pairs, kPanel, 2}, rows.options());
  const BFloat16* source = rows.const_data_ptr<BFloat16>();
  BFloat16* target = out.data_ptr<BFloat16>();
  at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel)
      for (int64_t r = 0; r < count; ++r) {
        const int64_t start = panel * kPanel, width = std::min(kPanel, columns - start);
        BFloat16* line = target + (panel * pairs + r / 2) * kPanel * 2 + r % 2;
        for (int64_t c = 0; c < width; ++c) line[2 * c] = source[r * columns + start + c];
      }
  });
  return out;
}

}  // namespace mmclip
