// Where a text stands in its grammar, byte by byte. A place is a set of heads (a place of the JSON text and what is around it),
// since branches of a schema may go on beside each other for a while. Places, the arrays and objects around them and the steps
// between them are numbered when they are first met and stay as they are, so that a copy of a place is a copy of its number.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/grammar/lexer.h"
#include "engine/grammar/rules.h"

namespace verge::engine::grammar {

class Machine {
 public:
  static constexpr int32_t kDead = -1;
  explicit Machine(std::unique_ptr<Rules> rules);

  struct Position {
    int32_t place = 0;
    std::string captured;  // bytes of the key or item that must not come again, while it is written
  };
  Position start() const { return {start_, {}}; }
  // False (and the position is left as it was) where the byte can't follow.
  bool advance(Position& at, uint8_t byte);
  bool complete(int32_t place) const { return places_[place].complete; }

  // One step that does not look at captured bytes; needs_text() steps do.
  int32_t step(int32_t place, uint8_t byte) {
    Table* t = places_[place].next.get();
    if (t && (*t)[byte] != kUnknown) return (*t)[byte];
    return step_new(place, byte);
  }
  bool needs_text(int32_t place, uint8_t byte) const { return byte == ',' && places_[place].commits; }
  // Between two characters of a JSON string, by whichever head.
  bool in_string(int32_t place) const { return places_[place].in_string; }
  // After a backslash in one.
  bool in_escape(int32_t place) const { return places_[place].in_escape; }
  // Inside a JSON string in which anything may follow.
  bool plain(int32_t place) const { return places_[place].plain; }
  // The heads of a place that is in_string().
  struct Part {
    int32_t place;     // of this head alone
    int64_t state;     // of the lexer, where what follows the closing quote does not depend on the text; else -1
    int32_t closed;    // then the place after the quote
  };
  std::vector<Part> parts(int32_t place);
  Lexer& lexer() { return lexer_; }
  const Languages& languages() const { return rules_->languages; }

  // About what is kept for good, and what steps cost until they are forgotten; they are found again.
  size_t bytes() const { return places_.size() * 160 + frames_.size() * 120 + lexer_.bytes() + rules_->languages.size() * 150; }
  size_t step_bytes() const { return tables_ * sizeof(Table); }
  void forget_steps();

 private:
  static constexpr int32_t kUnknown = -2;
  using Table = std::array<int32_t, 256>;

  enum class Mode : uint8_t { Value, String, Raw, KeyDeclared, KeyExtra, Colon, ObjectFirst, ObjectNext, After, ArrayFirst, Done, Text };
  struct Head {
    uint32_t frame = 0;
    Mode mode = Mode::Done;
    uint8_t gap = 0;     // white space so far, see gap()
    uint32_t state = 0;  // of the lexer
    uint32_t extra = 0;  // a rule, or which extra keys
    auto operator<=>(const Head&) const = default;
  };
  enum class Kind : uint8_t { Root, Array, Object, Call };
  struct Frame {
    Kind kind = Kind::Root;
    bool pending = false;     // a key or item is written that `unused` does not know of yet
    uint16_t depth = 0;
    uint32_t outer = 0, rule = 0;
    uint32_t position = 0;    // the part of a root or call; items begun; or the first property that may follow; or which keys were (in any order)
    uint32_t count = 0;       // keys so far; or items counted by `contains`
    Lang unused = Languages::kAll, unused_raw = Languages::kAll;  // keys, or strings and other items, that may still come
    bool operator==(const Frame&) const = default;
  };
  struct Place {
    std::vector<Head> heads;
    bool complete = false, plain = false, in_string = false, in_escape = false, captures = false, pending = false, commits = false;
    std::unique_ptr<Table> next;
  };

  int32_t step_new(int32_t place, uint8_t byte);
  int32_t intern(std::vector<Head> heads);
  uint32_t intern(const Frame& frame);
  static void unify(std::vector<Head>& heads);
  std::vector<Head> moved(const std::vector<Head>& heads, uint8_t byte, const std::string* text);
  void move(const Head& head, uint8_t byte, const std::string* text, std::vector<Head>& out);
  void value(const Head& head, uint8_t byte, std::vector<Head>& out);
  void after_value(uint32_t frame, std::vector<Head>& out);
  // Heads at the beginning of a part of RootKind::Parts, and at the end of one. `frame`: the call
  // that the part is in, 0 = none.
  void enter_part(uint32_t part, uint32_t frame, std::vector<Head>& out);
  void leave_part(uint32_t part, uint32_t frame, std::vector<Head>& out);
  void items(uint32_t frame, uint8_t gap, std::vector<Head>& out);
  void keys(uint32_t frame, std::vector<Head>& out);
  bool item_possible(const ArrayRule& a, const Frame& f);
  bool can_close(const Frame& f);
  bool array_can_end(const ArrayRule& a, uint32_t position, uint32_t counted) const;
  bool fits(uint32_t rule, const Frame& f) const;
  uint32_t commit(uint32_t frame, std::string_view text, bool raw);
  bool captures(const Head& head) const;

  std::unique_ptr<Rules> rules_;
  Lexer lexer_;
  std::vector<Place> places_;
  std::vector<Frame> frames_;
  std::unordered_multimap<uint64_t, int32_t> place_ids_;
  std::unordered_multimap<uint64_t, uint32_t> frame_ids_;
  struct Declared {
    Lang words;
    std::vector<uint32_t> properties;  // by the word's place
  };
  std::map<std::array<uint32_t, 4>, Declared> declared_;  // by object, position, count, room
  const Declared& declared_words(const Frame& f);
  // Keys of objects in any order: the properties had so far, ascending; kExtra after them for an extra key.
  static constexpr uint32_t kExtra = UINT32_MAX;
  std::vector<std::vector<uint32_t>> taken_{{}};
  std::map<std::vector<uint32_t>, uint32_t> taken_ids_{{{}, 0}};
  uint32_t take(uint32_t taken, uint32_t property);
  struct Left {  // what may and must still come of an object
    uint32_t required = 0, open = 0;
    bool extra_had = false;
  };
  Left left(const ObjectRule& o, const Frame& f) const;
  std::set<std::array<uint32_t, 2>> entered_;  // calls (rule, frame) that this step has entered
  size_t tables_ = 0;
  int32_t start_ = 0;
};

}  // namespace verge::engine::grammar
