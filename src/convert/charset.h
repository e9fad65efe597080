// Documents in any charset to UTF-8.
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::convert {

// The charset that a document names: in `media_type` ("text/csv; charset=koi8-r"), in HTML's <meta> or in an XML
// declaration. Empty where none does.
std::string declared_charset(std::string_view kind, std::string_view media_type, std::string_view bytes);

// Valid UTF-8, always, with line ends as LF and U+FFFD for bytes without meaning and for NUL. A byte order mark decides;
// then the declared charset; then what the bytes look like. InvalidInput: the bytes are no text.
Result<std::string> to_utf8(std::string_view bytes, std::string_view declared);

}  // namespace verge::convert
