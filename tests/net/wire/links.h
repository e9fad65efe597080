// What becomes of a packet on its way from one host to another: how long it takes, whether it is lost, whether
// the way is cut. Pure: the time is an argument and every draw comes from the seed.
//
// L1 Packets of one directed pair come out in the order in which they went in (jitter never reorders).
// L2 A pair's settings say nothing about the opposite direction.
// L3 A cut takes effect at once: what is underway is lost too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace wire {

struct Shape {
  double delay_ms = 0;   // one way
  double jitter_ms = 0;  // uniform, in ± jitter_ms; never below 0 in sum
  double loss = 0;       // share of packets, 0 … 1
};

struct Counts {
  uint64_t sent = 0, delivered = 0, lost = 0, cut = 0;
};

class Links {
 public:
  Links(size_t hosts, uint64_t seed) : hosts_(hosts), random_(seed), pairs_(hosts * hosts) {}

  void shape(size_t from, size_t to, const Shape& shape) { pair(from, to).shape = shape; }
  void cut(size_t from, size_t to, bool cut) { pair(from, to).cut = cut; }

  // When a packet that goes in at `now_us` comes out; nothing if it never does.
  std::optional<int64_t> enter(size_t from, size_t to, int64_t now_us);
  // Whether a packet whose time has come still arrives.
  bool leave(size_t from, size_t to);

  const Counts& counts(size_t from, size_t to) const { return pairs_[from * hosts_ + to].counts; }

 private:
  struct Pair {
    Shape shape;
    Counts counts;
    bool cut = false;
    int64_t last_us = 0;  // when the packet before comes out
  };
  Pair& pair(size_t from, size_t to) { return pairs_[from * hosts_ + to]; }
  double draw();  // [0, 1)

  size_t hosts_;
  uint64_t random_;
  std::vector<Pair> pairs_;
};

}  // namespace wire
