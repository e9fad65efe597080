#include "server/watchdog.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string_view>

#include "support/clock.h"

namespace verge::server {
namespace {

// Whoever hangs may hold the log's lock, and nobody may read standard error.
void say(std::string_view text) {
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT)) return;
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

void Watchdog::arm(int seconds) {
  std::lock_guard lock(mutex_);
  end_ms_ = monotonic_ms() + int64_t{seconds} * 1000;
  if (!timed_) {
    sigevent kill{};
    kill.sigev_notify = SIGEV_SIGNAL;
    kill.sigev_signo = SIGKILL;
    timed_ = ::timer_create(CLOCK_MONOTONIC, &kill, &timer_) == 0;
  }
  itimerspec when{};
  when.it_value.tv_sec = seconds + kLastResortS;
  if (timed_) ::timer_settime(timer_, 0, &when, nullptr);
  if (!thread_.joinable()) thread_ = std::thread([this] { watch(); });
  changed_.notify_one();
}

void Watchdog::watch() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);  // signals are the loop's business
  std::unique_lock lock(mutex_);
  while (!over_) {
    const int64_t left = end_ms_ - monotonic_ms();
    if (left > 0) {
      changed_.wait_for(lock, std::chrono::milliseconds(left));
      continue;
    }
    say("verge serve: stopping took too long; the process is ended\n");
    ::_exit(1);
  }
}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  if (timed_) ::timer_delete(timer_);
}

}  // namespace verge::server
