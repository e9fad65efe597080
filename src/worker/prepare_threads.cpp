#include "worker/prepare_threads.h"

#include <pthread.h>

#include <utility>

namespace verge::worker {

PrepareThreads::PrepareThreads(int threads) : queue_(threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "prepare");
      loop();
    });
  }
}

PrepareThreads::~PrepareThreads() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void PrepareThreads::post(const std::string& tenant, size_t bytes, std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    const uint64_t id = next_id_++;
    works_.emplace(id, std::move(work));
    queue_.push(id, tenant, bytes);
  }
  wake_.notify_one();
}

void PrepareThreads::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stop_) return;
    const auto job = queue_.pop();
    if (!job) {
      wake_.wait(lock);
      continue;
    }
    auto work = works_.extract(job->id);
    lock.unlock();
    work.mapped()();
    work = {};
    lock.lock();
    queue_.done(*job);
    if (job->is_long) wake_.notify_one();  // another thread may have left a long one
  }
}

}  // namespace verge::worker
