#include "engine/grammar/lexer.h"

#include <algorithm>

namespace verge::engine::grammar {
namespace {

bool short_escape(uint32_t c) { return c == 8 || c == 9 || c == 10 || c == 12 || c == 13; }

}  // namespace

uint32_t Lexer::intern(const State& s) {
  uint64_t h = (uint64_t{s.set} << 32 | s.value) * 0x9E3779B97F4A7C15ull;
  h ^= static_cast<uint64_t>(s.json) | static_cast<uint64_t>(s.kind) << 8 | static_cast<uint64_t>(s.left) << 16 |
       static_cast<uint64_t>(s.length) << 24;
  auto [from, to] = ids_.equal_range(h);
  for (; from != to; ++from)
    if (states_[from->second] == s) return from->second;
  states_.push_back(s);
  next_.emplace_back();
  ids_.emplace(h, static_cast<uint32_t>(states_.size() - 1));
  return static_cast<uint32_t>(states_.size() - 1);
}

int32_t Lexer::between(const State& from, Lang set) {
  if (set == Languages::kNone) return kDead;
  return static_cast<int32_t>(intern({set, 0, from.json, Kind::Between, 0, 0}));
}

// After some bytes of a character of `length`: where all characters that they may become lead to one set, that set is known.
int32_t Lexer::partial(const State& from, uint32_t value, int left, int length) {
  char32_t low = value << (6 * left), high = low | ((1u << (6 * left)) - 1);
  low = std::max<char32_t>(low, length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000);
  high = std::min<char32_t>(high, 0x10FFFF);
  const bool surrogates = high >= 0xD800 && low <= 0xDFFF;
  if (low > high || (surrogates && low >= 0xD800 && high <= 0xDFFF)) return kDead;
  const bool whole = low == value << (6 * left) && high == (low | ((1u << (6 * left)) - 1)) && !surrogates;
  const std::vector<char32_t> cuts = l_.cuts(from.set);
  std::vector<char32_t> points{low};
  for (auto it = std::upper_bound(cuts.begin(), cuts.end(), low); it != cuts.end() && *it <= high; ++it) points.push_back(*it);
  if (surrogates) points.push_back(0xE000);
  bool live = false, same = true;
  Lang first = Languages::kNone;
  for (size_t i = 0; i < points.size(); ++i) {
    if ((points[i] >= 0xD800 && points[i] <= 0xDFFF) || points[i] > high) continue;
    const Lang to = l_.next(from.set, points[i]);
    if (i == 0) first = to;
    same &= to == first;
    live |= to != Languages::kNone;
  }
  if (!live) return kDead;
  if (whole && same)
    return static_cast<int32_t>(intern({first, 0, from.json, Kind::Skip, static_cast<uint8_t>(left), 0}));
  return static_cast<int32_t>(
      intern({from.set, value, from.json, Kind::Utf8, static_cast<uint8_t>(left), static_cast<uint8_t>(length)}));
}

int32_t Lexer::step_new(uint32_t id, uint8_t byte) {
  const State s = states_[id];
  switch (s.kind) {
    case Kind::Between: {
      if (byte < 0x80) {
        if (!s.json || (byte >= 0x20 && byte != '"' && byte != '\\')) {
          // All bytes that lead where this one does, at once.
          const std::vector<char32_t>& cuts = l_.cuts(s.set);
          const auto above = std::upper_bound(cuts.begin(), cuts.end(), static_cast<char32_t>(byte));
          const uint32_t low = *(above - 1), high = above == cuts.end() ? 0x80 : std::min<char32_t>(*above, 0x80);
          const int32_t to = between(s, l_.next(s.set, byte));
          Table& known = table(id);
          for (uint32_t c = low; c < high; ++c)
            if (!s.json || (c >= 0x20 && c != '"' && c != '\\')) known[c] = to;
          return to;
        }
        if (byte != '\\') return kDead;
        for (char32_t c = 0; c <= U'\\'; ++c)
          if ((c < 0x20 || c == U'"' || c == U'\\') && l_.next(s.set, c) != Languages::kNone)
            return static_cast<int32_t>(intern({s.set, 0, true, Kind::Slash, 0, 0}));
        return kDead;
      }
      const int length = byte >= 0xC2 && byte <= 0xDF ? 2 : byte >= 0xE0 && byte <= 0xEF ? 3 : byte >= 0xF0 && byte <= 0xF4 ? 4 : 0;
      if (length == 0) return kDead;
      return partial(s, byte & (0x7Fu >> length), length - 1, length);
    }
    case Kind::Slash: {
      switch (byte) {
        case '"':
        case '\\': return between(s, l_.next(s.set, byte));
        case 'b': return between(s, l_.next(s.set, 8));
        case 'f': return between(s, l_.next(s.set, 12));
        case 'n': return between(s, l_.next(s.set, 10));
        case 'r': return between(s, l_.next(s.set, 13));
        case 't': return between(s, l_.next(s.set, 9));
        case 'u':
          for (char32_t c = 0; c < 0x20; ++c)
            if (!short_escape(c) && l_.next(s.set, c) != Languages::kNone)
              return static_cast<int32_t>(intern({s.set, 0, true, Kind::Hex, 4, 0}));
          return kDead;
        default: return kDead;
      }
    }
    case Kind::Hex: {
      uint32_t digit = 0;
      if (byte >= '0' && byte <= '9') digit = byte - '0';
      else if (byte >= 'a' && byte <= 'f') digit = byte - 'a' + 10u;
      else return kDead;
      const uint32_t value = s.value * 16 + digit;
      const uint8_t left = s.left - 1;
      if (left == 0) return value < 0x20 && !short_escape(value) ? between(s, l_.next(s.set, value)) : kDead;
      const uint32_t low = value << (4 * left), high = low | ((1u << (4 * left)) - 1);
      for (uint32_t c = low; c <= std::min(high, 0x1Fu); ++c)
        if (!short_escape(c) && l_.next(s.set, c) != Languages::kNone)
          return static_cast<int32_t>(intern({s.set, value, true, Kind::Hex, left, 0}));
      return kDead;
    }
    case Kind::Utf8: {
      if (byte < 0x80 || byte > 0xBF) return kDead;
      const uint32_t value = s.value << 6 | (byte & 0x3F);
      if (s.left > 1) return partial(s, value, s.left - 1, s.length);
      const bool overlong = value < (s.length == 2 ? 0x80u : s.length == 3 ? 0x800u : 0x10000u);
      if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return kDead;
      return between(s, l_.next(s.set, value));
    }
    case Kind::Skip: {
      if (byte < 0x80 || byte > 0xBF) return kDead;
      if (s.left == 1) return between(s, s.set);
      return static_cast<int32_t>(intern({s.set, 0, s.json, Kind::Skip, static_cast<uint8_t>(s.left - 1), 0}));
    }
  }
  return kDead;
}

}  // namespace verge::engine::grammar
