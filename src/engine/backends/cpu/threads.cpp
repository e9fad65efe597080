#include "engine/backends/cpu/threads.h"

namespace verge::engine::cpu {
namespace {

// A pause takes some 15 to 40 ns, so a worker sleeps after a few hundred microseconds without work: longer than the
// gap between two steps of a busy model, short enough that an idle one costs nothing.
constexpr int kSpinsBeforeSleep = 10'000;
// A thread that waits for others gives the processor away after this long: with more threads than free
// processors the one that it waits for may not be running.
constexpr int kSpinsBeforeYield = 2'000;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

template <class Done>
void spin_until(Done done) {
  for (int spins = 0; !done(); ++spins) {
    if (spins < kSpinsBeforeYield) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace

Threads::Threads(int count) : count_(std::max(count, 1)) {
  for (int thread = 1; thread < count_; ++thread) workers_.emplace_back([this, thread] { work(thread); });
}

Threads::~Threads() {
  stop_ = true;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Threads::start(Task task, void* context) {
  next_.store(0, std::memory_order_relaxed);
  if (count_ == 1) return task(context, 0);
  task_ = task;
  context_ = context;
  pending_.store(count_ - 1, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  epoch_.notify_all();  // a load where nobody sleeps
  task(context, 0);
  spin_until([this] { return pending_.load(std::memory_order_acquire) == 0; });
}

void Threads::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    for (int spins = 0; spins < kSpinsBeforeSleep && epoch_.load(std::memory_order_acquire) == seen; ++spins) relax();
    epoch_.wait(seen, std::memory_order_acquire);
    ++seen;
    if (stop_) return;
    task_(context_, thread);
    pending_.fetch_sub(1, std::memory_order_release);
  }
}

void Threads::barrier() {
  if (count_ == 1) {
    next_.store(0, std::memory_order_relaxed);
    return;
  }
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == count_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    next_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  spin_until([this, phase] { return phase_.load(std::memory_order_acquire) != phase; });
}

}  // namespace verge::engine::cpu
