// Documents to Markdown. Input is hostile: this runs in a process of its own (commands/convert.cpp), nothing here is called by
// a server directly.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::convert {

// "text", "html", "csv", "json", "xml", "pdf"; empty = not supported. By the name's extension, else by the media type.
std::string kind_of(std::string_view name, std::string_view media_type);

// Extension (".pdf") and media type of all kinds, as `toMarkdown().supported()` lists them.
struct Supported {
  std::string_view extension, media_type;
};
const std::vector<Supported>& supported();

// Every kind but "pdf", whose text poppler extracts; of any charset (charset.h), which `media_type` may name. The answer
// is valid UTF-8. InvalidInput: no text, or no document of that kind.
Result<std::string> to_markdown(std::string_view kind, std::string_view media_type, std::string_view bytes);

// From here on documents are UTF-8.
// HTML: headings, paragraphs, lists, quotes, code, tables, links, images, emphasis; scripts, styles and forms are left out.
Result<std::string> html_to_markdown(std::string_view html);
// RFC 4180, separator ',', ';', tab or '|', or what Excel's first line "sep=…" says: the first row is the table's head.
std::string csv_to_markdown(std::string_view csv);
// Text of pages that form feeds end.
std::string pages_to_markdown(std::string_view text);

}  // namespace verge::convert
