// HOST:PORT of a listener.
#pragma once

#include <cstdint>
#include <string>

#include "support/error.h"

namespace verge::server {

struct Address {
  std::string host;
  uint16_t port = 0;
};

// `flag` is named where the text is wrong. "[::1]:80", ":80" (loopback), "127.0.0.1:0" (a free port).
Result<Address> parse_address(const std::string& text, const std::string& flag);

bool is_loopback(const std::string& host);

}  // namespace verge::server
