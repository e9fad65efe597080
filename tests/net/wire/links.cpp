#include "links.h"

#include <algorithm>

namespace wire {

// SplitMix64 (Steele, Lea, Flood 2014).
double Links::draw() {
  uint64_t z = (random_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

std::optional<int64_t> Links::enter(size_t from, size_t to, int64_t now_us) {
  Pair& p = pair(from, to);
  ++p.counts.sent;
  if (p.cut) {
    ++p.counts.cut;
    return std::nullopt;
  }
  if (p.shape.loss > 0 && draw() < p.shape.loss) {
    ++p.counts.lost;
    return std::nullopt;
  }
  double delay_ms = p.shape.delay_ms;
  if (p.shape.jitter_ms > 0) delay_ms += (2 * draw() - 1) * p.shape.jitter_ms;
  p.last_us = std::max(p.last_us, now_us + static_cast<int64_t>(1000 * std::max(0.0, delay_ms)));
  return p.last_us;
}

bool Links::leave(size_t from, size_t to) {
  Pair& p = pair(from, to);
  ++(p.cut ? p.counts.cut : p.counts.delivered);
  return !p.cut;
}

}  // namespace wire
