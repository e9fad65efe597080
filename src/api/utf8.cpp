#include "api/utf8.h"

#include "support/utf8.h"

namespace verge::api {

std::string lossy_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    size_t length = utf8_sequence(bytes);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      bytes.remove_prefix(1);
    } else {
      out += bytes.substr(0, length);
      bytes.remove_prefix(length);
    }
  }
  return out;
}

std::string json_body(const json::value& value) {
  std::string text = json::serialize(value);
  return is_utf8(text) ? text : lossy_utf8(text);
}

}  // namespace verge::api
