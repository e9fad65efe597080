// A team of threads for one backend. Decoding a small model forks and joins a few hundred times a
// token, so a fork costs about a microsecond: idle workers spin for a moment before they sleep, and nothing is
// allocated or locked on the way.
//
// Owner: the backend. One thread at a time calls run() or parallel_for(); it takes part as thread 0. Calls
// don't nest. The destructor ends and joins the workers; it must not overlap a run.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace verge::engine::cpu {

class Threads {
 public:
  explicit Threads(int count);  // the caller counts as one
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return count_; }

  // Calls body(thread) once on each thread, 0 <= thread < count(), and returns when all are done. What the
  // caller wrote before is seen by all; what they wrote is seen by the caller afterwards.
  template <class Body>
  void run(Body&& body) {
    using B = std::remove_reference_t<Body>;
    start([](void* context, int thread) { (*static_cast<B*>(context))(thread); }, const_cast<void*>(static_cast<const void*>(&body)));
  }

  // Calls body(begin, end) on pieces of [0, count) of at most `grain` items, handed out as threads become free.
  template <class Body>
  void parallel_for(int64_t items, int64_t grain, Body&& body) {
    if (items <= grain || count_ == 1) {
      if (items > 0) body(int64_t{0}, items);
      return;
    }
    run([&](int) {
      for (int64_t begin; (begin = take(grain)) < items;) body(begin, std::min(begin + grain, items));
    });
  }

  // Inside run(): the next `step` items of a counter that each run() starts at zero; returns the first of them.
  int64_t take(int64_t step) { return next_.fetch_add(step, std::memory_order_relaxed); }
  // Inside run(): waits for all threads, makes their writes seen. resets take().
  void barrier();

 private:
  using Task = void (*)(void* context, int thread);
  void start(Task task, void* context);
  void work(int thread);

  const int count_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  bool stop_ = false;  // written before epoch_ moves
  // Each on its own cache line: they are written by different threads at different times.
  alignas(64) std::atomic<uint32_t> epoch_{0};   // number of runs started; workers wait for it to move
  alignas(64) std::atomic<int> pending_{0};      // workers that have not finished the current run
  alignas(64) std::atomic<int64_t> next_{0};     // take()
  alignas(64) std::atomic<int> arrived_{0};      // threads in the current barrier
  alignas(64) std::atomic<uint32_t> phase_{0};   // barriers passed
  std::vector<std::thread> workers_;
};

}  // namespace verge::engine::cpu
