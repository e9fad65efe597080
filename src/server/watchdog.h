// Ends a process that hangs in its end: a disk that does not answer, a bus, a lock that nobody
// gives back. Nothing that the process does can stop it: it has a thread of its own that takes no
// lock and waits for no reader, and behind that a timer of the kernel.
//
// WD1 A process whose watchdog was armed with B seconds has ended B + kLastResortS seconds later,
//     or the watchdog was destroyed before. It ends with status 1, or by SIGKILL where not even the
//     thread gets on.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <thread>

namespace verge::server {

inline constexpr int kLastResortS = 2;

// What a server's end may take beyond the limits of its two drains (of clients, and of other
// machines), and what it may take once it was told to hurry.
inline constexpr int kEndS = 15, kHurriedEndS = 10;

class Watchdog {
 public:
  Watchdog() = default;
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // The bound of before no longer counts. From any thread.
  void arm(int seconds);

 private:
  void watch();

  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t end_ms_ = 0;
  bool over_ = false;
  std::thread thread_;
  timer_t timer_{};
  bool timed_ = false;
};

}  // namespace verge::server
