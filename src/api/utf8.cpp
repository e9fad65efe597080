#include "api/utf8.h"

namespace verge::api {

std::string json_body(const json::value& value) {
  std::string text = json::serialize(value);
  return is_utf8(text) ? text : lossy_utf8(text);
}

}  // namespace verge::api
