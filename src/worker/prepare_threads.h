// Threads that read requests' inputs in the order of a PrepareQueue. Any thread may post; the destructor drops what has
// not begun and waits for what runs. As with support/pool, the coroutine that waits never leaves its own thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "support/pool.h"
#include "worker/prepare_queue.h"

namespace verge::worker {

class PrepareThreads {
 public:
  explicit PrepareThreads(int threads);
  ~PrepareThreads();
  PrepareThreads(const PrepareThreads&) = delete;
  PrepareThreads& operator=(const PrepareThreads&) = delete;

  // What `work` gives; `bytes` of input are charged to the tenant. Cancellation and errors as Pool::run().
  template <class T>
  boost::asio::awaitable<Result<T>> run(std::string tenant, size_t bytes,
                                        std::function<Result<T>(const Pool::Abandoned&)> work) {
    return pool_.run_on<T>(
        [this, tenant = std::move(tenant), bytes](std::function<void()> job) {
          post(tenant, bytes, std::move(job));
        },
        std::move(work));
  }
  Pool::Load load() const { return pool_.load(); }

 private:
  void post(const std::string& tenant, size_t bytes, std::function<void()> work);
  void loop();

  Pool pool_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  PrepareQueue queue_;
  std::unordered_map<uint64_t, std::function<void()>> works_;
  uint64_t next_id_ = 1;
  bool stop_ = false;
  std::vector<std::thread> threads_;  // last: start when the rest is there
};

}  // namespace verge::worker
