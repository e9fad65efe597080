// A text of parts that follow one another, some of them JSON under a schema: a thought, free text,
// calls with their marks. Part after part may have several ways to go on; they are followed beside
// each other until the text tells which it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace verge::engine::grammar {

struct EnvelopePart {
  enum class Kind : uint8_t {
    Pattern,    // `text`: a regular expression of the whole part
    Without,    // any text, also none, in which the regular expression `text` is found nowhere
    Object,     // a JSON object under the schema `text`
    Value,      // a JSON value under the schema `text`, or under that of its property `property`
    RawString,  // the same, a string only, without quotes and escapes; `without` is found nowhere
                // in it
    Gbnf,       // the grammar `text`, see gbnf.h
  };
  Kind kind = Kind::Pattern;
  std::string text;
  std::string property = {}, without = {};
  std::string at = {};  // JSON pointer of the schema in the client's request
  std::vector<uint32_t> next = {};
  bool last = false;  // the text may end after it
};

struct Envelope {
  std::vector<EnvelopePart> parts;
  std::vector<uint32_t> first;  // parts that the text may begin with
  bool empty() const { return parts.empty(); }
  uint32_t add(EnvelopePart part) {
    parts.push_back(std::move(part));
    return static_cast<uint32_t>(parts.size() - 1);
  }
  // All that tells one envelope from another, as a text.
  std::string key() const;
};

}  // namespace verge::engine::grammar
