#include "api/multipart.h"

#include <algorithm>
#include <charconv>

#include "api/base64.h"
#include "api/text_body.h"
#include "http/message.h"
#include "support/limits.h"
#include "support/text.h"

namespace verge::api {
namespace {

bool has_parameter(std::string_view header, std::string_view name) {
  const size_t at = header.find(name);
  return at != header.npos && at > 0 && (header[at - 1] == ' ' || header[at - 1] == ';') && at + name.size() < header.size() &&
         (header[at + name.size()] == '=' || header[at + name.size()] == '*');
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

// `filename`, or `filename*` (RFC 5987) where that is what is there: UTF-8''na%C3%AFve.txt
std::string file_name_of(std::string_view disposition) {
  const std::string extended = header_parameter(disposition, "filename*");
  const size_t language = extended.find('\''), text = language == extended.npos ? language : extended.find('\'', language + 1);
  if (text != extended.npos) {
    auto decoded = http::percent_decode(std::string_view(extended).substr(text + 1));
    if (decoded) return std::move(*decoded);
  }
  return header_parameter(disposition, "filename");
}

struct PartHeader {
  FormPart part;
  std::string coding, transfer;  // Content-Encoding, Content-Transfer-Encoding
};

Result<PartHeader> read_header(std::string_view lines) {
  PartHeader header;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    const size_t colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon), value = trim(line.substr(std::min(colon + 1, line.size())));
    if (http::equal_names(name, "content-disposition")) {
      header.part.name = header_parameter(value, "name");
      header.part.file = has_parameter(value, "filename");
      header.part.file_name = file_name_of(value);
    } else if (http::equal_names(name, "content-type")) {
      header.part.type = value;
      header.part.charset = header_parameter(value, "charset");
    } else if (http::equal_names(name, "content-encoding")) {
      header.coding = value;
    } else if (http::equal_names(name, "content-transfer-encoding")) {
      header.transfer = ascii_lower(value);
    }
  }
  if (header.part.name.empty()) return fail(Code::InvalidInput, "a part of the form has no name");
  return header;
}

// RFC 2045, 6.7. False: a '=' without two hex digits or a line end behind it.
bool decode_quoted_printable(std::string_view text, std::string& out) {
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '=') {
      out += text[at];
    } else if (text.substr(at + 1).starts_with("\r\n")) {
      at += 2;
    } else {
      int byte = 0;
      const char *first = text.data() + at + 1, *last = first + std::min<size_t>(2, text.size() - at - 1);
      const auto [end, error] = std::from_chars(first, last, byte, 16);
      if (error != std::errc() || end != first + 2 || byte < 0) return false;
      out += static_cast<char>(byte);
      at += 2;
    }
  }
  return true;
}

// The part's bytes without the encoding that its header names. Browsers and SDKs send none; mail-minded libraries do.
Result<void> take_data(PartHeader& header, std::string_view bytes) {
  const std::string_view name = std::string_view(header.part.name).substr(0, 64), transfer = header.transfer;
  if (!header.coding.empty() && !http::equal_names(header.coding, "identity"))
    return fail_at(Code::UnsupportedParameter, "/content-encoding", "'/content-encoding' of the part '{}': parts are taken as they are; pack the whole body instead", name);
  if (transfer.empty() || transfer == "binary" || transfer == "8bit" || transfer == "7bit") {
    header.part.data = bytes;
  } else if (transfer == "base64") {
    auto decoded = decode_base64(bytes);
    if (!decoded) return fail(Code::InvalidInput, "the part '{}' says it is base64, which it is not", name);
    header.part.data = std::move(*decoded);
  } else if (transfer == "quoted-printable") {
    if (!decode_quoted_printable(bytes, header.part.data)) return fail(Code::InvalidInput, "the part '{}' says it is quoted-printable, which it is not", name);
  } else {
    return fail_at(Code::UnsupportedParameter, "/content-encoding", "'/content-encoding' of the part '{}': its Content-Transfer-Encoding '{:.64}' is unknown here; send binary", name, transfer);
  }
  return {};
}

// The field `_charset_` names the charset of those whose header does not (RFC 7578, 4.6).
std::vector<FormPart> with_default_charset(std::vector<FormPart> parts) {
  const auto said = std::ranges::find(parts, "_charset_", &FormPart::name);
  if (said == parts.end()) return parts;
  const std::string charset = said->data;
  parts.erase(said);
  for (FormPart& part : parts)
    if (part.charset.empty()) part.charset = charset;
  return parts;
}

}  // namespace

bool is_multipart(std::string_view content_type) { return media_type(content_type) == "multipart/form-data"; }

Result<std::string> text_of(const FormPart& part) { return field_text(part.data, part.charset, part.name); }

Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, std::string_view body) {
  std::string delimiter = "--" + header_parameter(content_type, "boundary");
  if (delimiter.size() == 2) {
    if (!body.starts_with("--")) return fail(Code::InvalidInput, "the content type names no boundary, and the body begins with none");
    delimiter = body.substr(0, std::min(body.find("\r\n"), limits::kBoundaryBytes + 3));
  }
  if (delimiter.size() < 3 || delimiter.size() > limits::kBoundaryBytes + 2) return fail(Code::InvalidInput, "the boundary of the form must have 1 to {} characters", limits::kBoundaryBytes);
  // What stands before the first delimiter is to be ignored.
  size_t at = body.starts_with(delimiter) ? 0 : body.find("\r\n" + delimiter);
  if (at == body.npos) return fail(Code::InvalidInput, "the form's boundary is not in the body");
  if (at > 0) at += 2;
  std::vector<FormPart> parts;
  for (;;) {
    at += delimiter.size();
    if (body.substr(at).starts_with("--")) return with_default_charset(std::move(parts));
    while (at < body.size() && (body[at] == ' ' || body[at] == '\t')) ++at;
    if (!body.substr(at).starts_with("\r\n")) return fail(Code::InvalidInput, "the form is damaged or incomplete");
    at += 2;
    if (parts.size() >= limits::kFormParts) return fail(Code::InvalidInput, "the form has more than {} parts", limits::kFormParts);
    const size_t blank = body.find("\r\n\r\n", at - 2);
    if (blank == body.npos || blank + 2 < at || blank - std::min(blank, at) > limits::kHeaderBytes) return fail(Code::InvalidInput, "a part of the form has no end to its header");
    VERGE_ASSIGN(header, read_header(body.substr(at, blank - std::min(blank, at))));
    const size_t begin = blank + 4, end = body.find("\r\n" + delimiter, begin - 2);
    if (end == body.npos) return fail(Code::InvalidInput, "the form is incomplete: '{}' has no end", header.part.name.substr(0, 64));
    VERGE_TRY(take_data(header, body.substr(begin, end < begin ? 0 : end - begin)));
    parts.push_back(std::move(header.part));
    at = end + 2;
  }
}

}  // namespace verge::api
