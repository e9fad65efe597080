// The text of a GBNF grammar as a tree.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/grammar/language.h"
#include "support/error.h"

namespace verge::engine::grammar {

struct GbnfNode {
  enum Kind : uint8_t { Text, Class, Rule, Sequence, Choice, Repeat } kind = Text;
  std::u32string text;                 // Text
  std::vector<CharRange> ranges;       // Class
  uint32_t rule = 0;                   // Rule: its number
  uint32_t least = 0, most = 0;        // Repeat
  std::vector<uint32_t> items;         // nodes
  size_t at = 0;                       // where it begins in the source
};

struct GbnfText {
  struct Rule {
    std::string name;
    uint32_t body = 0;    // a node
    size_t at = 0;        // where its name is met first
    bool defined = false;
  };
  std::vector<GbnfNode> nodes;  // items come before what they are in
  std::vector<Rule> rules;
  uint32_t root = 0;

  // Errors: InvalidInput with line and column.
  static Result<GbnfText> parse(std::string_view source);
};

// "at line 2, column 7: ", both from 1, columns in characters.
std::string line_and_column(std::string_view source, size_t at);

}  // namespace verge::engine::grammar
