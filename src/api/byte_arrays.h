// Pictures and clips arrive as JSON arrays of numbers, `[...new Uint8Array(buffer)]`: some 3.6 characters a byte. A
// DOM of such a body is thirty times its size, so the arrays are lifted out of the text before anything parses it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::api {

struct ByteArray {
  std::string key;    // "image", "audio": the member that held it
  std::string bytes;
};

struct LiftedBody {
  std::string json;               // the body with `[]` in the place of each array
  std::vector<ByteArray> arrays;  // in the order of the text
};

// Lifts the members `image` and `audio` of the document, and of its `inputs` or `input` object, where their value is an
// array of numbers, or what JSON.stringify makes of a Uint8Array, {"0":137,"1":80,…}, or of Node's Buffer,
// {"type":"Buffer","data":[137,80,…]}. Everything else stays as it is: text that is no JSON is the parser's to refuse. InvalidInput where an element is no integer from 0 to 255.
Result<LiftedBody> lift_byte_arrays(std::string_view body);

}  // namespace verge::api
