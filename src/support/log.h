// Structured logs: one line an event on stderr. `log::info("loaded", {{"model", id}, {"ms", 12}})`.
// Secrets (tokens, prompts) are never fields.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace verge::log {

enum class Level { Debug, Info, Warn, Error, Off };
enum class Format { Text, Json };

// A field's value, kept as text; numbers stay bare in JSON.
struct Field {
  std::string_view key;
  std::string text;
  bool number = false;
  Field(std::string_view k, std::string_view v) : key(k), text(v) {}
  Field(std::string_view k, const char* v) : key(k), text(v) {}
  Field(std::string_view k, const std::string& v) : key(k), text(v) {}
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
  Field(std::string_view k, T v) : key(k), text(std::to_string(v)), number(true) {}
};
using Fields = std::initializer_list<Field>;

void configure(Level level, Format format, std::string component);
void write(Level level, std::string_view message, Fields fields);
// Whether such lines are written at all: for those whose fields cost something.
bool writes(Level level);
inline void debug(std::string_view m, Fields f = {}) { write(Level::Debug, m, f); }
inline void info(std::string_view m, Fields f = {}) { write(Level::Info, m, f); }
inline void warn(std::string_view m, Fields f = {}) { write(Level::Warn, m, f); }
inline void error(std::string_view m, Fields f = {}) { write(Level::Error, m, f); }

}  // namespace verge::log
