#include "support/uuid.h"

#include <cctype>

#include "support/hex.h"
#include "support/random.h"

namespace verge {
namespace {
constexpr bool dash_at(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }
}  // namespace

std::string uuid_v4() {
  unsigned char bytes[16];
  random_bytes(bytes, sizeof bytes);
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // version 4 (RFC 9562, 5.4)
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);  // variant
  std::string out = hex(bytes);
  for (size_t dash : {8, 13, 18, 23}) out.insert(dash, 1, '-');
  return out;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i)
    if (dash_at(i) ? text[i] != '-' : !std::isxdigit(static_cast<unsigned char>(text[i]))) return false;
  return true;
}

}  // namespace verge
