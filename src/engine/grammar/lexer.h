// Sets of texts (language.h) as automata over bytes, built as far as texts go: UTF-8, and the escapes of a JSON string in one
// spelling each: \" \\ \b \f \n \r \t, \u00xx for the other control characters, every other character as itself.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/grammar/language.h"

namespace verge::engine::grammar {

class Lexer {
 public:
  static constexpr int32_t kDead = -1;
  explicit Lexer(Languages& languages) : l_(languages) {}

  // json: the body of a JSON string, between its quotes; else plain UTF-8. The set has a text in it.
  uint32_t start(Lang set, bool json) { return intern({set, 0, json, Kind::Between, 0, 0}); }
  // kDead where no text of the set goes on so. A quote that closes a string is for the caller.
  int32_t step(uint32_t state, uint8_t byte) {
    int32_t& known = table(state)[byte];
    return known != kUnknown ? known : (table(state)[byte] = step_new(state, byte));
  }
  bool accepts(uint32_t state) const { return states_[state].kind == Kind::Between && l_.nullable(states_[state].set); }
  // Inside a JSON string of which anything may follow.
  bool plain(uint32_t state) const { return states_[state].json && states_[state].kind == Kind::Between && states_[state].set == Languages::kAll; }
  bool between(uint32_t state) const { return states_[state].kind == Kind::Between; }  // no character is cut
  bool escaping(uint32_t state) const { return states_[state].kind == Kind::Slash || states_[state].kind == Kind::Hex; }
  Lang set(uint32_t state) const { return states_[state].set; }
  size_t bytes() const { return states_.size() * (sizeof(State) + 64) + tables_ * sizeof(Table); }

 private:
  static constexpr int32_t kUnknown = -2;
  using Table = std::array<int32_t, 256>;
  enum class Kind : uint8_t { Between, Slash, Hex, Utf8, Skip };
  struct State {
    Lang set = 0;
    uint32_t value = 0;  // bits so far of a character
    bool json = false;
    Kind kind = Kind::Between;
    uint8_t left = 0, length = 0;  // bytes to come, and of the whole character
    bool operator==(const State&) const = default;
  };
  uint32_t intern(const State& state);
  Table& table(uint32_t state) {
    if (!next_[state]) {
      next_[state] = std::make_unique<Table>();
      next_[state]->fill(kUnknown);
      ++tables_;
    }
    return *next_[state];
  }
  int32_t step_new(uint32_t state, uint8_t byte);
  int32_t between(const State& from, Lang set);
  int32_t partial(const State& from, uint32_t value, int left, int length);

  Languages& l_;
  std::vector<State> states_;
  std::vector<std::unique_ptr<Table>> next_;
  std::unordered_multimap<uint64_t, uint32_t> ids_;
  size_t tables_ = 0;
};

}  // namespace verge::engine::grammar
