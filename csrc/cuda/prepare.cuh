// What the tile kernels need beforehand of one side: its labels in bfloat16, padded and in the order of their copies,
// the factors of the cosine, and bounds on the norms, from which the device alone decides whether maxima are needed.
#pragma once

#include "../soft_contrastive.h"
#include "launch.h"
#include "primitives.cuh"

namespace mmclip {

struct alignas(16) Sixteen {
  uint32_t word[4];
};

__device__ __forceinline__ float sum_of_warp(float value) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) value += shuffle_xor(value, lane);
  return value;
}

__device__ __forceinline__ float label(const PrepareArgs& in, int64_t row, int l) {
  if (l >= in.label_count) return 0.f;
  const int64_t index = row * in.label_count + l;
  return in.label_type == kByteLabels ? float(static_cast<const uint8_t*>(in.labels)[index])
                                      : static_cast<const float*>(in.labels)[index];
}

// Each warp takes rows in turn.
__device__ __forceinline__ void prepare_rows(const PrepareArgs& in) {
  constexpr int kWarps = kThreads / 32;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint32_t largest[2] = {0, 0};  // bits of numbers that are not negative compare as the numbers do, NaN above all
  for (int64_t row = int64_t(blockIdx.x) * kWarps + warp; row < in.rows; row += int64_t(gridDim.x) * kWarps) {
    float norm = 0.f;
    const Sixteen* x = reinterpret_cast<const Sixteen*>(in.x + row * in.depth);
    for (int chunk = lane; chunk < in.depth / 8; chunk += 32) {
      const Sixteen eight = x[chunk];
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        const float low = float_of(eight.word[w] << 16), high = float_of(eight.word[w] & 0xffff0000u);
        norm += low * low + high * high;
      }
    }
    largest[0] = max(largest[0], bits_of(fabsf(sum_of_warp(norm))));
    if (in.label_type == kNoLabels) continue;

    const int width = in.label_steps * kLabelStep;
    norm = 0.f;
    for (int l = lane; l < width; l += 32) {
      const float value = label(in, row, l), high = float_of(pack_bf16(0.f, value) & 0xffff0000u);
      uint16_t* out = in.out + row * width * in.label_parts + l;
      *out = bits_of(high) >> 16;
      if (in.label_parts == 2) out[width] = pack_bf16(0.f, value - high) >> 16;
      norm += value * value;
    }
    norm = sum_of_warp(norm);
    largest[1] = max(largest[1], bits_of(fabsf(norm)));
    if (lane == 0) in.factor[row] = !in.cosine ? 1.f : norm == 0.f ? 0.f : 1.f / sqrtf(norm);
  }
  auto& of_warp = shared_variable<uint32_t[2][kWarps]>();
  if (lane == 0) {
    of_warp[0][warp] = largest[0];
    of_warp[1][warp] = largest[1];
  }
  __syncthreads();
  if (threadIdx.x >= 2) return;
  uint32_t of_block = 0;
  for (int w = 0; w < kWarps; ++w) of_block = max(of_block, of_warp[threadIdx.x][w]);
  atomicMax(in.bounds + threadIdx.x, of_block);  // the largest does not depend on the order
}

}  // namespace mmclip
