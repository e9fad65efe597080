#include "engine/tokenizers/charsmap.h"

#include <cstring>

namespace verge::engine {
namespace {

// One unit of a darts-clone array.
uint32_t label(uint32_t unit) { return unit & (1u << 31 | 0xFF); }
bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & 1u << 9) >> 6); }
uint32_t leaf_value(uint32_t unit) { return unit & ~(1u << 31); }

}  // namespace

Result<CharsMap> CharsMap::parse(std::string_view blob) {
  CharsMap map;
  if (blob.empty()) return map;
  uint32_t bytes = 0;
  if (blob.size() >= 4) std::memcpy(&bytes, blob.data(), 4);
  if (blob.size() < 4 || bytes % 4 != 0 || bytes > blob.size() - 4) {
    return fail(Code::LoadFailed, "tokenizer: the precompiled character map is damaged ({} bytes, its array {})", blob.size(), bytes);
  }
  map.units_.resize(bytes / 4);
  if (bytes > 0) std::memcpy(map.units_.data(), blob.data() + 4, bytes);
  map.strings_ = blob.substr(4 + bytes);
  map.strings_.push_back('\0');  // so that the last string ends, whatever the file says
  return map;
}

CharsMap::Match CharsMap::walk(std::string_view text, bool first) const {
  Match match;
  if (units_.empty()) return match;
  size_t node = offset(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label(units_[node]) != byte) break;
    uint32_t unit = units_[node];
    node ^= offset(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) break;
    uint32_t at = leaf_value(units_[node]);
    if (at >= strings_.size()) break;
    match = {i + 1, std::string_view(strings_.c_str() + at)};
    if (first) break;
  }
  return match;
}

}  // namespace verge::engine
