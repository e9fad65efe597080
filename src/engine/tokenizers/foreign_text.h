// A text that remembers which of its bytes came from a client. Chat templates are rendered on such
// texts, so that a control token's name in a message stays text and the template's own becomes the
// token.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::engine {

// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin = 0, end = 0;
  bool operator==(const TextRange&) const = default;
};

struct ForeignText {
  std::string text;
  std::vector<TextRange>
      foreign;  // the client's bytes: in order, not empty, neither overlapping nor touching

  ForeignText() = default;
  explicit ForeignText(std::string t, bool all_foreign = false) : text(std::move(t)) {
    if (all_foreign && !text.empty()) foreign.push_back({0, text.size()});
  }

  size_t size() const { return text.size(); }
  void push_back(char c) { text.push_back(c); }
  ForeignText& operator+=(std::string_view own) {
    text += own;
    return *this;
  }
  ForeignText& operator+=(const ForeignText& other) {
    append(other.text, other.foreign, 0);
    return *this;
  }
  // `part` stands at byte `offset` of a text with these ranges.
  void append(std::string_view part, std::span<const TextRange> ranges, size_t offset);
  void append_foreign(std::string_view part) {
    mark(text.size(), text.size() + part.size());
    text += part;
  }

 private:
  void mark(size_t begin, size_t end);
};

}  // namespace verge::engine
