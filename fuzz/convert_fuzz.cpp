// Arbitrary bytes as a document: the first line is the kind and the media type. What comes out is UTF-8.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "convert/convert.h"
#include "support/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t line = std::min(all.find('\n'), all.size()), blank = std::min(all.find(' '), line);
  const std::string_view kind = all.substr(0, blank), media_type = all.substr(std::min(blank + 1, line), line - std::min(blank + 1, line));
  if (auto markdown = verge::convert::to_markdown(kind, media_type, all.substr(std::min(line + 1, all.size())))) {
    if (!verge::is_utf8(*markdown)) abort();
  }
  return 0;
}
