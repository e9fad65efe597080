#include "api/multipart.h"

#include <algorithm>

#include "http/message.h"
#include "support/limits.h"

namespace verge::api {
namespace {

// The value of name="…" or name=… among the parameters of a header; empty where it is not there.
std::string parameter(std::string_view header, std::string_view name) {
  for (size_t at = header.find(';'); at != header.npos;) {
    std::string_view rest = header.substr(at + 1);
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
    const bool mine = rest.size() > name.size() && http::equal_names(rest.substr(0, name.size()), name) && rest[name.size()] == '=';
    const size_t equals = rest.find('='), end = rest.find(';');
    if (mine) {
      rest.remove_prefix(name.size() + 1);
      std::string value;
      if (rest.starts_with('"')) {
        for (size_t i = 1; i < rest.size() && rest[i] != '"'; ++i) {
          if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
          value.push_back(rest[i]);
        }
      } else {
        value = rest.substr(0, rest.find_first_of("; \t\r\n"));
      }
      return value;
    }
    if (equals != rest.npos && equals + 1 < rest.size() && rest[equals + 1] == '"' && (end == rest.npos || equals < end)) {
      // A quoted value may hold a semicolon.
      size_t quote = equals + 2;
      while (quote < rest.size() && rest[quote] != '"') quote += rest[quote] == '\\' ? 2 : 1;
      at = header.find(';', static_cast<size_t>(rest.data() - header.data()) + std::min(quote, rest.size()));
    } else {
      at = header.find(';', at + 1);
    }
  }
  return {};
}

bool has_parameter(std::string_view header, std::string_view name) {
  const size_t at = header.find(name);
  return at != header.npos && at > 0 && (header[at - 1] == ' ' || header[at - 1] == ';') && at + name.size() < header.size() &&
         (header[at + name.size()] == '=' || header[at + name.size()] == '*');
}

// Name and kind from the part's header lines.
Result<FormPart> read_header(std::string_view lines) {
  FormPart part;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    const size_t colon = line.find(':');
    if (colon == line.npos || !http::equal_names(line.substr(0, colon), "content-disposition")) continue;
    part.name = parameter(line.substr(colon + 1), "name");
    part.file = has_parameter(line.substr(colon + 1), "filename");
  }
  if (part.name.empty()) return fail(Code::InvalidInput, "a part of the form has no name");
  return part;
}

}  // namespace

bool is_multipart(std::string_view content_type) {
  constexpr std::string_view kType = "multipart/form-data";
  return content_type.size() >= kType.size() && http::equal_names(content_type.substr(0, kType.size()), kType);
}

Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, std::string_view body) {
  std::string delimiter = "--" + parameter(content_type, "boundary");
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
    if (body.substr(at).starts_with("--")) return parts;
    while (at < body.size() && (body[at] == ' ' || body[at] == '\t')) ++at;
    if (!body.substr(at).starts_with("\r\n")) return fail(Code::InvalidInput, "the form is damaged or incomplete");
    at += 2;
    if (parts.size() >= limits::kFormParts) return fail(Code::InvalidInput, "the form has more than {} parts", limits::kFormParts);
    const size_t blank = body.find("\r\n\r\n", at - 2);
    if (blank == body.npos || blank + 2 < at || blank - std::min(blank, at) > limits::kHeaderBytes) return fail(Code::InvalidInput, "a part of the form has no end to its header");
    VERGE_ASSIGN(part, read_header(body.substr(at, blank - std::min(blank, at))));
    const size_t begin = blank + 4, end = body.find("\r\n" + delimiter, begin - 2);
    if (end == body.npos) return fail(Code::InvalidInput, "the form is incomplete: '{}' has no end", part.name.substr(0, 64));
    part.data = body.substr(begin, end < begin ? 0 : end - begin);
    parts.push_back(std::move(part));
    at = end + 2;
  }
}

}  // namespace verge::api
