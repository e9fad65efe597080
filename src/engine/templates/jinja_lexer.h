// Template source to tokens, as Jinja2's lexer with trim_blocks and lstrip_blocks on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/templates/jinja_value.h"
#include "support/error.h"

namespace verge::engine::jinja {

struct Token {
  enum class Type : uint8_t { Data, BlockBegin, BlockEnd, VariableBegin, VariableEnd, Name, String, Integer, Float, Operator, End };
  Type type = Type::End;
  int line = 0;
  std::string text;  // data, name, operator; a string's value
  Int integer = 0;
  double real = 0;
};

// Errors are LoadFailed with the line.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace verge::engine::jinja
