// What the machine gives at this moment: the round trip between two cores and the read bandwidth of
// two threads over huge pages. A virtual machine's cores can be moved between a shared last-level
// cache ("near", some 50 ns) and separate ones ("far", some 350 ns); memory-bound figures differ by
// 1.5 x between the two, so every decode figure is printed with this beside it.
//   machine_probe            {"round_trip_ns":…,"read_gbps":…,"placement":"near|far"}
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// The processors that this process may use, read before any thread is pinned: a pinned thread's children inherit its one.
const std::vector<int>& processors() {
  static const std::vector<int> all = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    std::vector<int> list;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) list.push_back(cpu);
    }
    return list;
  }();
  return all;
}

void pin(size_t index) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processors()[index], &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

// Median of short bursts. A burst ends by itself after a tenth of a second: where another process holds
// one of the cores, a trip takes a scheduler's slice, and that burst is simply a slow one.
double round_trip_ns() {
  alignas(128) static std::atomic<uint32_t> ball{0};
  alignas(128) static std::atomic<bool> stop{false};
  std::vector<double> bursts;
  for (int burst = 0; burst < 9; ++burst) {
    ball = 0;
    stop = false;
    std::thread other([] {
      pin(1);
      for (uint32_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
        while (ball.load(std::memory_order_acquire) != 2 * i + 1)
          if (stop.load(std::memory_order_relaxed)) return;
        ball.store(2 * i + 2, std::memory_order_release);
      }
    });
    pin(0);
    const auto start = Clock::now();
    const auto end = start + std::chrono::milliseconds(100);
    uint32_t trips = 0;
    for (bool late = false; trips < 20'000 && !late; ++trips) {
      ball.store(2 * trips + 1, std::memory_order_release);
      while (ball.load(std::memory_order_acquire) != 2 * trips + 2 && !late) late = Clock::now() > end;
    }
    bursts.push_back(seconds(Clock::now() - start) * 1e9 / trips);
    stop = true;
    other.join();
  }
  std::sort(bursts.begin(), bursts.end());
  return bursts[bursts.size() / 2];
}

double read_gbps() {
  constexpr size_t kBytes = size_t{512} << 20;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  madvise(memory, kBytes, MADV_HUGEPAGE);
  std::memset(memory, 1, kBytes);
  std::vector<double> runs;
  for (int run = 0; run < 5; ++run) {
    static std::atomic<uint64_t> sink{0};
    std::atomic<int> ready{0};
    auto read = [&](size_t index) {
      pin(index);
      const auto* words = reinterpret_cast<const uint64_t*>(memory) + index * (kBytes / 16);
      ++ready;
      while (ready.load() < 2) std::this_thread::yield();
      uint64_t sums[8] = {};
      for (size_t i = 0; i < kBytes / 16; i += 8)
        for (int j = 0; j < 8; ++j) sums[j] += words[i + j];
      uint64_t sum = 0;
      for (uint64_t s : sums) sum += s;
      sink += sum;
    };
    std::thread other(read, 1);
    const auto start = Clock::now();
    read(0);
    other.join();
    runs.push_back(static_cast<double>(kBytes) / seconds(Clock::now() - start) / 1e9);
  }
  munmap(memory, kBytes);
  std::sort(runs.begin(), runs.end());
  return runs[runs.size() / 2];
}

}  // namespace

int main() {
  if (processors().size() < 2) {
    std::puts("{\"round_trip_ns\":0,\"read_gbps\":0,\"placement\":\"one core\"}");
    return 0;
  }
  const double trip = round_trip_ns();
  std::printf("{\"round_trip_ns\":%.0f,\"read_gbps\":%.1f,\"placement\":\"%s\"}\n", trip, read_gbps(), trip < 150 ? "near" : "far");
}
