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
  std::string file_name;
  std::string type;         // its Content-Type, with parameters; empty = none
  std::string charset;      // of its header, or of the form; empty = none is named
  std::string data;         // as it came, without a Content-Transfer-Encoding
};

bool is_multipart(std::string_view content_type);
// The part as UTF-8 text; InvalidInput names it where it is none.
Result<std::string> text_of(const FormPart& part);
// The boundary is the content type's, or where it has none the body's first line. InvalidInput says what is wrong.
Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, std::string_view body);

}  // namespace verge::api
