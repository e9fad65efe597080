// Pieces of a model's text: what is said, what is thought, which functions are called.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::engine::tools {

struct Function {
  std::string name;
  std::string schema;  // JSON Schema of its arguments, an object
  std::string at;      // JSON pointer of the schema in the client's request
};

struct Call {
  std::string name;
  std::string arguments;  // JSON, an object
  bool operator==(const Call&) const = default;
};

struct Delta {
  enum class Kind { Text, Reasoning, Call, Arguments };
  Kind kind = Kind::Text;
  size_t index = 0;  // of the call, from 0
  std::string name;  // of a Call, which begins one
  std::string text;  // of the others; Arguments are pieces of one JSON object
  bool operator==(const Delta&) const = default;
};

// Reads a text as it comes. What the deltas come to depends on the text alone, not on where it was
// cut; no mark of a call, whole or begun, is ever Text, unless the text is no call after all.
class Parser {
 public:
  virtual ~Parser() = default;
  virtual void push(std::string_view text, std::vector<Delta>& out) = 0;
  virtual void finish(std::vector<Delta>& out) = 0;  // the text is over, by itself or by its length
};

}  // namespace verge::engine::tools
