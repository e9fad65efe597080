#include "worker/aside_thread.h"

#include <pthread.h>

namespace verge::worker {

AsideThread::AsideThread() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "aside");
    loop();
  });
}

AsideThread::~AsideThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool AsideThread::Round::run(int i) {
  std::atomic<int>& stage = stages[static_cast<size_t>(i)];
  int open = Open;
  if (!stage.compare_exchange_strong(open, Taken)) return false;
  body(i);
  stage.store(Done);
  stage.notify_all();
  return true;
}

void AsideThread::begin(int count, std::function<void(int)> body) {
  {
    const std::lock_guard lock(mutex_);
    round_ = std::make_shared<Round>(std::move(body), count);
    fresh_ = true;
  }
  wake_.notify_one();
}

void AsideThread::need(int i) {
  if (round_->run(i)) return;
  round_->stages[static_cast<size_t>(i)].wait(Taken);
}

void AsideThread::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || fresh_; });
    if (stop_) return;
    fresh_ = false;
    const std::shared_ptr<Round> round = round_;
    lock.unlock();
    for (int i = 0; i < static_cast<int>(round->stages.size()); ++i) round->run(i);
    lock.lock();
  }
}

}  // namespace verge::worker
