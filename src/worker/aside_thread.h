// A thread for worker/aside.h: it sleeps between the calls of begin().
//
// Owner: whoever makes it; the destructor ends the thread after the job that it is at.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/aside.h"

namespace verge::worker {

class AsideThread final : public Aside {
 public:
  AsideThread();
  ~AsideThread() override;
  AsideThread(const AsideThread&) = delete;
  AsideThread& operator=(const AsideThread&) = delete;

  void begin(int count, std::function<void(int)> body) override;
  void need(int i) override;

 private:
  enum Stage : int { Open, Taken, Done };
  // A thread that comes late has its own round, in which nothing is open any more.
  struct Round {
    std::function<void(int)> body;
    std::vector<std::atomic<int>> stages;
    Round(std::function<void(int)> b, int count)
        : body(std::move(b)), stages(static_cast<size_t>(count)) {}
    // False where another thread has it, or had it.
    bool run(int i);
  };
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<Round> round_;  // of the last begin(); written by its caller alone
  bool fresh_ = false, stop_ = false;
  std::thread thread_;  // last: starts when the rest is there
};

}  // namespace verge::worker
