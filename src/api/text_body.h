// The text that a client sent, as UTF-8, whatever charset it came in: JSON bodies, and fields of forms.
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::api {

// "Application/JSON; Charset=x" -> "application/json".
std::string media_type(std::string_view content_type);

// The value of name="…" or name=… among the parameters of a header; empty where it is not there. Names have no case.
std::string header_parameter(std::string_view header, std::string_view name);

// Whether the first character of a body is that of a JSON object or array, in whichever Unicode encoding.
bool looks_like_json(std::string_view body);

// Makes the text of a JSON document UTF-8 without a byte order mark. Its encoding is the mark's, else the one that its
// zero bytes show (RFC 4627, 3), else the content type's charset. Where that is not known: UnsupportedParameter of
// '/content-type'. InvalidInput where a character is cut in half.
Result<void> make_utf8(std::string& body, std::string_view content_type);

// The text of a form's field. InvalidInput names the field where its bytes are no text of that charset.
Result<std::string> field_text(std::string_view bytes, std::string_view charset, std::string_view field);

}  // namespace verge::api
