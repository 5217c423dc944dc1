// Runs one block of CUDA threads at a time on the processor: a fiber a thread, switched where a thread waits for its
// warp or for the whole block. Blocks are spread over OpenMP's threads.
//
// Shared memory starts as NaN. A block in which no thread can go on, because a barrier or a warp's instruction is
// not reached by all, ends the launch with an error; so does whatever calls fail().
#pragma once

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace simt {

// In which order threads run between two barriers, and when their copies to shared memory happen. Right code gives the
// same results in each; a missing barrier or wait shows in at least one.
enum Schedule : int {
  kForward = 0,   // lane by lane; copies as late as they may
  kShuffled = 1,  // one warp at a time in random order; copies as late as they may
  kBackward = 2,  // the last lane first; copies at once
};
inline std::atomic<int> schedule{kForward};

struct Copy {
  void* to;
  const void* from;
};

struct Fiber {
  jmp_buf state;
  bool started, ready, done;
  std::vector<Copy> open;                  // copies of the group that is not committed yet
  std::vector<std::vector<Copy>> groups;  // committed groups, the oldest first
};

struct Warp {
  void* arguments[32];
  int arrived;
};

class Block {
 public:
  Block(int threads, size_t shared_bytes, std::function<void()> kernel)
      : shared(shared_bytes), kernel_(std::move(kernel)), fibers_(threads), warps_(threads / 32) {
    stacks_ = static_cast<char*>(mmap(nullptr, kStack * threads, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stacks_ == MAP_FAILED) abort();
  }
  ~Block() { munmap(stacks_, kStack * fibers_.size()); }
  Block(const Block&) = delete;

  // The block whose fiber is running in this thread of the processor.
  static Block*& running() {
    static thread_local Block* block = nullptr;
    return block;
  }

  // Runs the kernel in all threads of block `index`; returns what went wrong, or nothing.
  std::string run(unsigned index) {
    block_index = index;
    ++serial;
    error_.clear();
    at_barrier_ = 0;
    live_ = int(fibers_.size());
    std::memset(shared.data(), 0xff, shared.size());
    for (Fiber& fiber : fibers_) {
      fiber.started = fiber.done = false;
      fiber.ready = true;
      fiber.open.clear();
      fiber.groups.clear();
    }
    for (Warp& warp : warps_) warp.arrived = 0;
    running() = this;
    while (live_ > 0 && error_.empty()) {
      if (!pass()) error_ = "deadlock: a barrier or an instruction of a warp is not reached by all of its threads";
    }
    if (error_.empty() && at_barrier_ > 0) error_ = "a barrier was not reached by all threads of the block";
    return error_.empty() ? "" : "block " + std::to_string(index) + ": " + error_;
  }

  // Gives up the block; does not return.
  [[noreturn]] void fail(const char* why) {
    error_ = why;
    _longjmp(scheduler_, 1);
  }

  // Called by all threads of a warp: the last to arrive performs the operation on the arguments of all 32.
  template <typename Operation>
  void together(void* argument, const Operation& operation) {
    const int thread = current, first = thread / 32 * 32;
    Warp& warp = warps_[thread / 32];
    warp.arguments[thread % 32] = argument;
    if (++warp.arrived < 32) return wait();
    warp.arrived = 0;
    operation(warp.arguments);
    for (int lane = 0; lane < 32; ++lane) fibers_[first + lane].ready = true;
  }

  void barrier() {
    if (++at_barrier_ < int(fibers_.size())) return wait();
    at_barrier_ = 0;
    for (Fiber& fiber : fibers_) fiber.ready = true;
  }

  Fiber& fiber() { return fibers_[current]; }

  int current = 0;          // the thread that runs
  unsigned block_index = 0;
  long serial = 0;          // counts the blocks that were run
  std::vector<unsigned char> shared;

 private:
  static constexpr size_t kStack = 128 * 1024;

  // Runs every thread that can go on up to where it waits; false if there is none.
  bool pass() {
    const int warps = int(warps_.size());
    bool any = false;
    random_ = random_ * 1664525u + 1013904223u;
    const int first = schedule == kShuffled ? int(random_ >> 16) % warps : 0;
    for (int w = 0; w < warps && error_.empty(); ++w) {
      const int warp = schedule == kBackward ? warps - 1 - w : (first + w) % warps;
      for (int l = 0; l < 32 && error_.empty(); ++l) {
        const int thread = warp * 32 + (schedule == kBackward ? 31 - l : l);
        if (!fibers_[thread].ready) continue;
        any = true;
        resume(thread);
      }
      if (schedule == kShuffled && any) break;
    }
    return any;
  }

  void resume(int thread) {
    Fiber& fiber = fibers_[current = thread];
    if (_setjmp(scheduler_) != 0) return;
    if (fiber.started) _longjmp(fiber.state, 1);
    fiber.started = true;
    ucontext_t start;
    getcontext(&start);
    start.uc_stack.ss_sp = stacks_ + kStack * thread;
    start.uc_stack.ss_size = kStack;
    start.uc_link = nullptr;
    makecontext(&start, &Block::enter, 0);
    setcontext(&start);
  }

  static void enter() {
    Block* block = running();
    block->kernel_();
    block->fiber().done = true;
    block->fiber().ready = false;
    --block->live_;
    _longjmp(block->scheduler_, 1);
  }

  void wait() {
    Fiber& own = fiber();
    own.ready = false;
    if (_setjmp(own.state) == 0) _longjmp(scheduler_, 1);
  }

  std::function<void()> kernel_;
  std::vector<Fiber> fibers_;
  std::vector<Warp> warps_;
  jmp_buf scheduler_;
  char* stacks_;
  std::string error_;
  int at_barrier_ = 0, live_ = 0;
  unsigned random_ = 12345;
};

// Runs all blocks of a launch; returns the first error, or nothing.
inline std::string run(int64_t blocks, int threads, size_t shared_bytes, const std::function<void()>& kernel) {
  std::string error;
#pragma omp parallel
  {
    Block block(threads, shared_bytes, kernel);
#pragma omp for schedule(dynamic, 1)
    for (int64_t index = 0; index < blocks; ++index) {
      std::string found = block.run(unsigned(index));
#pragma omp critical(simt_error)
      if (error.empty()) error = std::move(found);
    }
  }
  return error;
}

}  // namespace simt
