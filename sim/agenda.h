// What happens when, in simulated microseconds. Equal times keep the order in which they were asked for, so that a
// seed is one exact run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace verge::sim {

using Micros = int64_t;
constexpr Micros ms(double value) { return static_cast<Micros>(value * 1000); }

class Agenda {
 public:
  void at(Micros when, std::function<void()> what) {
    heap_.push_back({std::max(when, now_), order_++, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void in(Micros after, std::function<void()> what) { at(now_ + after, std::move(what)); }
  // Does what comes next, if it comes by `end`.
  bool step(Micros end) {
    if (heap_.empty() || heap_.front().when > end) return false;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Entry next = std::move(heap_.back());
    heap_.pop_back();
    now_ = next.when;
    ++done_;
    next.what();
    return true;
  }
  Micros now() const { return now_; }
  uint64_t done() const { return done_; }

 private:
  struct Entry {
    Micros when;
    uint64_t order;
    std::function<void()> what;
  };
  static bool later(const Entry& a, const Entry& b) { return a.when != b.when ? a.when > b.when : a.order > b.order; }
  std::vector<Entry> heap_;
  Micros now_ = 0;
  uint64_t order_ = 0, done_ = 0;
};

}  // namespace verge::sim
