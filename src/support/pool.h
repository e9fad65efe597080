// Threads for work that blocks or computes for long, so that the one io thread does not. The only way from a coroutine to another
// thread and back: the coroutine itself never leaves its own thread, so no cancellation reaches into what runs elsewhere.
//
// PO1 What the work throws comes back as an Error (Internal); nothing leaves the thread.
// PO2 A coroutine that is cancelled while it waits goes on at once, with Aborted. Work that has not begun then never begins; work that runs
//    is told by its Abandoned and its outcome is dropped. So it owns, or shares, all that it touches.
// PO3 The destructor abandons all work, and returns when what runs has ended.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "support/error.h"

namespace verge {

class Pool {
 public:
  // Asks, from the work's thread, whether anybody waits for the outcome still.
  using Abandoned = std::function<bool()>;

  // Has a job run on another thread, once, soon or later; or drops it when the pool ends.
  using Start = std::function<void(std::function<void()> job)>;

  // 0 threads: all work is given to run_on().
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // On the pool's threads, in the order of the calls.
  // std::function, for GCC 12 copies a lambda inside a co_await expression byte by byte.
  template <class T>
  boost::asio::awaitable<Result<T>> run(std::function<Result<T>(const Abandoned&)> work) {
    return run_on<T>(own_threads(), std::move(work));
  }

  // On the threads of `start`, which end before the pool does, in an order of its own.
  template <class T>
  boost::asio::awaitable<Result<T>> run_on(Start start, std::function<Result<T>(const Abandoned&)> work) {
    const auto outcome = std::make_shared<std::optional<Result<T>>>();
    std::function<void(const Abandoned&)> job = [outcome, work = std::move(work)](const Abandoned& abandoned) { outcome->emplace(work(abandoned)); };
    auto running = run_job(std::move(start), std::move(job));
    Result<void> ran = co_await std::move(running);
    if (!ran) co_return ran.error();
    co_return std::move(**outcome);
  }

  struct Load {
    uint64_t ended = 0;  // jobs, since the start
    int running = 0;     // now
  };
  Load load() const;

 private:
  struct Impl;
  Start own_threads() const;
  boost::asio::awaitable<Result<void>> run_job(Start start, std::function<void(const Abandoned&)> work);

  std::shared_ptr<Impl> impl_;
};

}  // namespace verge
