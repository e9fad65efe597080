// Reads Python's pickle as data. A pickle is a program that may call anything; this reader calls nothing: it knows
// containers, numbers, texts and the few names with which torch describes tensors, and every other object becomes an
// opaque value that nobody looks into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::engine {

struct PickleValue {
  enum class Kind { None, Bool, Int, Float, Text, Tuple, List, Dict, Global, Persistent, Call, Opaque };
  Kind kind = Kind::None;
  int64_t number = 0;
  std::string_view text;          // Text; Global: "module name". Views into the source.
  std::vector<uint32_t> items;    // indices of values. Tuple, List; Dict: key, value, key …; Persistent: {id}; Call: {global, arguments}
};

// All values by index, so that neither depth nor a cycle costs stack.
struct Pickle {
  std::vector<PickleValue> values;
  uint32_t root = 0;
  size_t end = 0;  // bytes read

  const PickleValue& operator[](uint32_t index) const { return values[index]; }
  // The value of a text key of a Dict; null where it is none or has none.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;
};

// Reads one pickle from the beginning of `bytes`; more may follow. Errors: LoadFailed naming `path`.
Result<Pickle> parse_pickle(std::span<const std::byte> bytes, const std::string& path);

}  // namespace verge::engine
