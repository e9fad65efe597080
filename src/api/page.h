// The page at "/" and the documentation, as the build embedded them (web/embed.mjs, scripts/embed_page.cmake).
#pragma once

#include <span>
#include <string_view>

namespace verge::api {

// One file, as it is and compressed.
struct PageFile {
  std::string_view path;        // "index.html", "page/index-3f2a.js", "docs/install.html"
  std::string_view media_type;
  std::string_view etag;        // of the bytes, without quotes
  std::string_view plain, gzip, brotli;  // the compressed ones are empty where they are not smaller
};

// Empty where the program was built without npm.
std::span<const PageFile> page_files();
// Why there are none, as a sentence.
std::string_view page_absence();

}  // namespace verge::api
