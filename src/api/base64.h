// RFC 4648 base64 as clients send clips and pictures: either alphabet, with or without padding, line breaks allowed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace verge::api {

// nullopt where the text is no base64. A "data:…;base64," in front is left out.
// Whether a text is the address of a file instead of the file.
bool is_address(std::string_view text);

std::optional<std::string> decode_base64(std::string_view text);

}  // namespace verge::api
