// Which compressed forms of an answer a client takes (RFC 9110, 12.5.3). Pure.
#pragma once

#include <string_view>

namespace verge::http {

struct AcceptedCodings {
  bool gzip = false, brotli = false;
};

// `list` is the value of Accept-Encoding. A weight of 0 refuses a coding; "*" stands for those that are not named.
AcceptedCodings accepted_codings(std::string_view list);

}  // namespace verge::http
