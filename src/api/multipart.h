// multipart/form-data (RFC 7578): the parts of a body that is whole in memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::api {

struct FormPart {
  std::string name;         // of the field
  bool file = false;        // it came with a file name
  std::string_view data;    // into the body
};

bool is_multipart(std::string_view content_type);
// The boundary is the content type's, or where it has none the body's first line. InvalidInput says what is wrong.
Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, std::string_view body);

}  // namespace verge::api
