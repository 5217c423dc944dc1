// Kernels with one fault each, which the emulator must see: what it says, and what the kernel read, is printed.
#include "device.h"

#include <cstdio>
#include <string>

using namespace mmclip;

namespace {

constexpr int kThreads = 64;
alignas(16) float numbers[4 * kThreads];
float received[kThreads];

// Each thread copies four numbers and reads the first of its neighbour's.
template <bool commits, bool waits, bool meets>
void copy() {
  const int thread = threadIdx.x;
  float* shared = reinterpret_cast<float*>(shared_memory());
  copy_async(shared_address(shared + 4 * thread), numbers + 4 * thread);
  if (commits) commit_copies();
  if (waits) wait_for_copies<0>();
  if (meets) __syncthreads();
  received[thread] = shared[4 * ((thread + 1) % kThreads)];
}

void missing_lane() {
  if (threadIdx.x != 3) shuffle_xor(1.f, 1);
}

void missing_thread() {
  if (threadIdx.x < 32) __syncthreads();
}

void misaligned_copy() {
  copy_async(shared_address(shared_memory()), numbers + 1);
}

void misaligned_matrix() {
  uint32_t fragment[4];
  load_matrices(fragment, shared_address(shared_memory()) + 8);
}

void outside() {
  copy_async(shared_address(shared_memory()) + 16 * kThreads, numbers);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string name = count > 1 ? arguments[1] : "";
  simt::schedule = count > 2 ? std::stoi(arguments[2]) : 0;
  for (int i = 0; i < 4 * kThreads; ++i) numbers[i] = float(i / 4 + 1);
  void (*kernel)() = name == "right"               ? copy<true, true, true>
                     : name == "no commit"         ? copy<false, true, true>
                     : name == "no wait"           ? copy<true, false, true>
                     : name == "no barrier"        ? copy<true, true, false>
                     : name == "missing lane"      ? missing_lane
                     : name == "missing thread"    ? missing_thread
                     : name == "misaligned copy"   ? misaligned_copy
                     : name == "misaligned matrix" ? misaligned_matrix
                                                   : outside;
  simt::grid = {1, 1};
  const std::string error = simt::run(1, kThreads, 16 * kThreads, kernel);
  if (!error.empty()) {
    std::puts(error.c_str());
    return 0;
  }
  int wrong = 0;
  for (int i = 0; i < kThreads; ++i) wrong += !(received[i] == float((i + 1) % kThreads + 1));
  std::printf("%d wrong\n", wrong);
  return 0;
}
