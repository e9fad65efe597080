// What a grammar is once it is compiled: places of a JSON text (rules), each with the values that may stand there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/grammar/language.h"

namespace verge::engine::grammar {

constexpr uint32_t kNoRule = 0;  // of rules: nothing may stand there
constexpr int kNoHeight = 1 << 20;

struct ArrayRule {
  std::vector<uint32_t> prefix;  // rules of the first items
  uint32_t rest = kNoRule;       // of the others
  uint32_t least = 0, most = kUnbounded;
  // `contains`: each item is one that is counted, or one that is not.
  bool contains = false;
  std::vector<uint32_t> prefix_counted;
  uint32_t rest_counted = kNoRule;
  uint32_t least_counted = 0, most_counted = kUnbounded;
  // No item twice: items are strings and other scalars, numbers in one spelling.
  bool unique = false;
  Lang unique_string = Languages::kNone, unique_raw = Languages::kNone;
  int height = kNoHeight;   // levels of arrays and objects that the shortest such array has
  int highest = 0;          // of the rules that it leads to
};

struct ObjectRule {
  struct Property {
    std::u32string name;
    uint32_t rule = kNoRule;
    bool required = false;
  };
  struct Extra {  // keys that are not declared
    Lang keys = Languages::kNone;
    uint32_t rule = kNoRule;
  };
  std::vector<Property> properties;  // in the order that a text has them, unless any_order
  std::vector<Extra> extras;
  uint32_t least = 0, most = kUnbounded;
  uint32_t least_extras = 0;
  bool endless = false;  // extra keys alone can be as many as must be
  bool any_order = false;
  std::vector<uint32_t> required_from, open_from;  // of the properties from i on: required ones, all
  int height = kNoHeight, highest = 0;
};

struct Rule {
  Lang string = Languages::kNone;  // decoded texts of the strings
  Lang raw = Languages::kNone;     // numbers, true, false and null as spelled
  Lang raw_once = Languages::kNone;  // of them one spelling for each value
  std::vector<uint32_t> arrays, objects;
  int height = kNoHeight;          // 0 where a scalar will do
};

enum class RootKind : uint8_t { Json, Text, Parts };

constexpr uint32_t kNoCall = UINT32_MAX;

// Of RootKind::Parts, see envelope.h and gbnf.h.
struct PartRule {
  bool json = false;
  uint32_t rule = kNoRule;      // where it is JSON
  Lang text = Languages::kNone;  // else
  uint32_t call = kNoCall;       // or where it is a rule of parts: its number in Rules::calls
  int need = 0;                  // calls within each other that the shortest way to the end has
  std::vector<uint32_t> next;
  bool last = false;
  bool ends_rule() const { return last && next.empty(); }  // what it calls need not come back
};

struct Rules {
  Languages languages;
  std::vector<Rule> rules;  // the first one is kNoRule
  std::vector<ArrayRule> arrays;
  std::vector<ObjectRule> objects;
  uint32_t root = kNoRule;
  RootKind kind = RootKind::Json;
  Lang text = Languages::kNone;  // RootKind::Text: the whole answer
  std::vector<PartRule> parts;   // RootKind::Parts
  std::vector<std::vector<uint32_t>> calls;  // the parts that a rule of parts may begin with
  std::vector<uint32_t> first;
};

}  // namespace verge::engine::grammar
