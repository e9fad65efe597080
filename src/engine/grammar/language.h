// Sets of strings of code points, as hash-consed regular expressions that are closed under union, intersection and complement.
// Automata are never built ahead: the derivative of a set by a code point is another set (Brzozowski 1964), found when a text
// first goes there. Repetitions stay counters, so {0,1000000} costs one node. Pure but for the memory of what was asked before.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace verge::engine::grammar {

using Lang = uint32_t;  // equal sets may have different numbers; equal numbers are equal sets

struct CharRange {
  char32_t low, high;
  bool operator==(const CharRange&) const = default;
};

constexpr uint32_t kUnbounded = UINT32_MAX;
// Marks of a text's ends, while an expression with ^ and $ is made; no text has them.
constexpr char32_t kBeginMark = 0x110000, kEndMark = 0x110001;

class Languages {
 public:
  static constexpr Lang kNone = 0, kEmpty = 1, kAny = 2, kAll = 3;  // {}, {""}, any one code point, every text

  Languages();
  Lang chars(std::vector<CharRange> ranges);
  Lang text(std::u32string_view text);
  Lang words(std::vector<std::u32string> words);  // a finite set
  Lang concat(Lang a, Lang b);
  Lang either(std::vector<Lang> parts);
  Lang both(std::vector<Lang> parts);
  Lang either(Lang a, Lang b) { return either(std::vector<Lang>{a, b}); }
  Lang both(Lang a, Lang b) { return both(std::vector<Lang>{a, b}); }
  Lang inverse(Lang a);
  Lang repeat(Lang a, uint32_t least, uint32_t most);
  // Decimal numbers that are multiples of value / 10^scale, as digits with an optional sign and fraction; their syntax is for
  // an intersection to tell. value < 2^31.
  Lang multiples(uint32_t value, uint32_t scale);

  bool nullable(Lang a) const { return nodes_[a].nullable; }
  // The texts that follow `c`; kNone exactly where there are none.
  Lang next(Lang a, char32_t c);
  bool live(Lang a);  // some text is in it
  bool contains(Lang a, std::u32string_view text);
  // Ascending; next(a, ·) is the same for all code points from one cut to before the following one. The first is 0.
  const std::vector<char32_t>& cuts(Lang a);
  // Where the set is every text of least..most code points.
  bool counted(Lang a, uint32_t& least, uint32_t& most) const {
    const Node& n = nodes_[a];
    least = n.m;
    most = n.n;
    return n.kind == Kind::Repeat && n.a == kAny;
  }
  // How many texts are in it, at most `most`.
  size_t count(Lang a, size_t most);
  // Where the set is words(): the place in the sorted list of the one that ends here, -1 where none does.
  int32_t word(Lang a) const;

  Lang without_begin(Lang a);  // texts t where kBeginMark t is in it
  Lang without_end(Lang a);    // texts t where t kEndMark is in it

  // A bound was reached: what came out since is too small a set, and must not be used for a new grammar.
  bool exceeded() const { return exceeded_; }
  // From here on each search has a bound of its own, so that what it finds does not depend on those before it.
  void compiled() { searches_left_ = SIZE_MAX; }
  size_t size() const { return nodes_.size(); }

 private:
  enum class Kind : uint8_t { None, Empty, Chars, Words, Concat, Either, Both, Inverse, Repeat, Multiples };
  struct Node {
    Kind kind = Kind::None;
    bool nullable = false, searched = false;  // searched: whether a text is in it is not told by its shape
    uint32_t a = 0, b = 0, m = 0, n = 0;
    bool same(const Node& o) const { return kind == o.kind && a == o.a && b == o.b && m == o.m && n == o.n; }
  };
  Lang add(Node node);
  Lang derive(Lang a, char32_t c);
  Lang derive_new(Lang a, char32_t c);
  Lang words_node(uint32_t set, uint32_t low, uint32_t high, uint32_t depth);
  std::vector<std::u32string> word_list(Lang a) const;
  uint32_t list(const std::vector<uint32_t>& items);
  Lang strip(Lang a, char32_t mark);
  Lang strip_end(Lang a);

  std::vector<Node> nodes_;
  std::unordered_multimap<uint64_t, Lang> interned_;
  std::vector<std::vector<uint32_t>> lists_;
  std::unordered_multimap<uint64_t, uint32_t> list_ids_;
  std::vector<std::vector<std::u32string>> word_sets_;
  std::unordered_map<uint64_t, Lang> derivatives_;
  std::unordered_map<Lang, std::vector<char32_t>> cuts_;
  std::vector<int8_t> live_;  // -1 unknown
  std::unordered_map<uint64_t, Lang> stripped_;
  bool exceeded_ = false;
  size_t searches_left_;
};

}  // namespace verge::engine::grammar
