// Numbers that look random but follow from a seed and a position alone, so that a decision can be
// repeated. Secrets and ids come from the kernel: random_bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace verge {

// splitmix64's output function (Steele, Lea, Flood 2014): a bijection that spreads every input bit.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
// The value number `position` of the sequence `seed`.
constexpr uint64_t random_at(uint64_t seed, uint64_t position) { return mix64(mix64(seed) ^ mix64(position ^ 0xd1b54a32d192ed03u)); }
// In [0, 1), 53 bits.
constexpr double unit_at(uint64_t seed, uint64_t position) { return static_cast<double>(random_at(seed, position) >> 11) * 0x1p-53; }

// A sequence with its own position: for simulations and tests.
class Random {
 public:
  explicit constexpr Random(uint64_t seed) : seed_(seed) {}
  constexpr uint64_t next() { return random_at(seed_, position_++); }
  constexpr double unit() { return unit_at(seed_, position_++); }
  constexpr uint64_t below(uint64_t n) { return n ? next() % n : 0; }  // bias below n / 2^64
  constexpr bool chance(double p) { return unit() < p; }

 private:
  uint64_t seed_;
  uint64_t position_ = 0;
};

void random_bytes(void* out, size_t count);  // from the kernel; aborts if it has none
uint64_t random_u64();

}  // namespace verge
