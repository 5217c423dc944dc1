// The launch functions of csrc/cuda/launch.h, by the emulator instead of a GPU.
#include "fibers.h"

#include <string>

namespace mmclip {

template <typename Args>
const char* launch(void (*kernel)(Args), const Args& args, int64_t x, int64_t y, int shared, void*);

}  // namespace mmclip

#include "launches.cuh"

namespace mmclip {

template <typename Args>
const char* launch(void (*kernel)(Args), const Args& args, int64_t x, int64_t y, int shared, void*) {
  static std::string error;  // of the last launch that failed
  simt::grid = {unsigned(x), unsigned(y)};
  std::string found = simt::run(x * y, kThreads, size_t(shared), [&] { kernel(args); });
  if (found.empty()) return nullptr;
  error = found;
  return error.c_str();
}

}  // namespace mmclip
