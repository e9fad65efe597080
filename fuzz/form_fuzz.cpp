// Arbitrary bytes as a form: the first line is the content type. Parts lie inside the body. And as base64.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/base64.h"
#include "api/multipart.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace verge::api;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t line = std::min(all.find('\n'), all.size());
  const std::string_view type = all.substr(0, line), body = all.substr(std::min(line + 1, all.size()));
  if (auto parts = parse_multipart(type, body)) {
    for (const FormPart& part : *parts) {
      if (part.name.empty()) abort();
      if (!part.data.empty() && (part.data.data() < body.data() || part.data.data() + part.data.size() > body.data() + body.size())) abort();
    }
  }
  if (auto bytes = decode_base64(all); bytes && bytes->size() > all.size()) abort();
  return 0;
}
