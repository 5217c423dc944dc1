// CUDA's keywords and the functions of csrc/cuda/primitives.cuh, for threads that are fibers (fibers.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "fibers.h"

#define __device__
#define __global__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __syncthreads() simt::Block::running()->barrier()
#define threadIdx simt::Index{unsigned(simt::Block::running()->current), 0}
#define blockIdx simt::block_index()
#define gridDim simt::grid

namespace simt {

struct Index {
  unsigned x, y;
};
inline Index grid;  // blocks of the launch that runs

inline Index block_index() {
  const unsigned index = Block::running()->block_index;
  return {index % grid.x, index / grid.x};
}

inline float from_bf16(uint32_t bits) {
  const uint32_t wide = bits << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

// Rounds to the nearest, ties to even; NaN stays NaN.
inline uint32_t to_bf16(float value) {
  if (value != value) return 0x7fff;
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

inline void check_shared(const void* address) {
  Block& block = *Block::running();
  const auto* byte = static_cast<const unsigned char*>(address);
  const auto* begin = block.shared.data();
  if (byte < begin || byte + 16 > begin + block.shared.size()) block.fail("an address outside shared memory");
  if (reinterpret_cast<uintptr_t>(byte) % 16 != 0) block.fail("a misaligned address in shared memory");
}

}  // namespace simt

namespace mmclip {

using std::exp;
using std::max;
using std::min;

using Shared = unsigned char*;

inline unsigned char* shared_memory() { return simt::Block::running()->shared.data(); }

inline Shared shared_address(const void* pointer) { return static_cast<Shared>(const_cast<void*>(pointer)); }

// A variable of the block, NaN at first.
template <typename T>
T& shared_variable() {
  static thread_local T variable;
  static thread_local long serial = -1;
  static thread_local const simt::Block* owner = nullptr;
  const simt::Block* block = simt::Block::running();
  if (owner != block || serial != block->serial) std::memset(static_cast<void*>(&variable), 0xff, sizeof(T));
  owner = block;
  serial = block->serial;
  return variable;
}

inline void copy_async(Shared to, const void* from) {
  simt::check_shared(to);
  if (reinterpret_cast<uintptr_t>(from) % 16 != 0) simt::Block::running()->fail("a misaligned copy");
  if (simt::schedule == simt::kBackward) {
    std::memcpy(to, from, 16);
  } else {
    simt::Block::running()->fiber().open.push_back({to, from});
  }
}

inline void commit_copies() {
  simt::Fiber& fiber = simt::Block::running()->fiber();
  fiber.groups.push_back(std::move(fiber.open));
  fiber.open.clear();
}

template <int left>
void wait_for_copies() {
  simt::Fiber& fiber = simt::Block::running()->fiber();
  while (int(fiber.groups.size()) > left) {
    for (const simt::Copy& copy : fiber.groups.front()) std::memcpy(copy.to, copy.from, 16);
    fiber.groups.erase(fiber.groups.begin());
  }
}

inline void load_matrices(uint32_t (&fragment)[4], Shared row) {
  struct Lane {
    uint32_t* fragment;
    Shared row;
  } own{fragment, row};
  simt::check_shared(row);
  simt::Block::running()->together(&own, [](void** lanes) {
    for (int matrix = 0; matrix < 4; ++matrix)
      for (int lane = 0; lane < 32; ++lane)  // two numbers of row lane / 4, from column 2 (lane % 4)
        std::memcpy(&static_cast<Lane*>(lanes[lane])->fragment[matrix],
                    static_cast<Lane*>(lanes[matrix * 8 + lane / 4])->row + lane % 4 * 4, 4);
  });
}

// Lane l holds of a [16, 16]: rows l / 4 and that + 8, columns 2 (l % 4) and that + 8, two each; of b [8, 16]: row
// l / 4 likewise; of the sums [16, 8]: rows l / 4 and that + 8, columns 2 (l % 4) and the next.
inline void multiply_add(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  struct Lane {
    float* sums;
    const uint32_t* a;
    uint32_t b[2];
  } own{sums, a, {b0, b1}};
  simt::Block::running()->together(&own, [](void** lanes) {
    float left[16][16], right[16][8], out[16][8];
    for (int l = 0; l < 32; ++l) {
      const Lane& lane = *static_cast<Lane*>(lanes[l]);
      const int row = l / 4, column = l % 4 * 2;
      for (int high = 0; high < 2; ++high) {
        for (int r = 0; r < 2; ++r)
          for (int c = 0; c < 2; ++c)
            left[row + 8 * r][column + 8 * c + high] = simt::from_bf16(lane.a[r + 2 * c] >> (16 * high) & 0xffff);
        for (int c = 0; c < 2; ++c)
          right[column + 8 * c + high][row] = simt::from_bf16(lane.b[c] >> (16 * high) & 0xffff);
      }
      for (int e = 0; e < 4; ++e) out[row + e / 2 * 8][column + e % 2] = lane.sums[e];
    }
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < 16; ++k)
        for (int j = 0; j < 8; ++j) out[i][j] += left[i][k] * right[k][j];
    for (int l = 0; l < 32; ++l)
      for (int e = 0; e < 4; ++e)
        static_cast<Lane*>(lanes[l])->sums[e] = out[l / 4 + e / 2 * 8][l % 4 * 2 + e % 2];
  });
}

template <typename scalar>
scalar shuffle_xor(scalar value, int mask) {
  struct Lane {
    scalar value, received;
    int mask;
  } own{value, 0, mask};
  simt::Block::running()->together(&own, [](void** lanes) {
    for (int l = 0; l < 32; ++l) {
      Lane& lane = *static_cast<Lane*>(lanes[l]);
      lane.received = static_cast<Lane*>(lanes[l ^ lane.mask])->value;
    }
  });
  return own.received;
}

inline float power_of_2(float value) {
  const float result = std::exp2(value);
  return result < 1.17549435e-38f ? 0.f : result;
}

inline uint32_t pack_bf16(float low, float high) { return simt::to_bf16(low) | simt::to_bf16(high) << 16; }

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline void atomicMax(uint32_t* address, uint32_t value) {
  uint32_t old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (old < value && !__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

}  // namespace mmclip
