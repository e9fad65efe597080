// Whether the Host of a request names this machine. A web page whose name its owner has pointed to 127.0.0.1 (DNS
// rebinding) is of the same origin as the server to the browser: its own Host is all that tells it apart. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace verge::http {

struct OwnNames {
  std::vector<std::string> names;  // beside those below; "*" = any
  bool any_address = false;        // any IP address: nobody's page has one of this machine's as its name
};

// True for localhost and names under it, loopback addresses, the address that the connection came in on, and `own`;
// with or without a port, in any case, with a dot at the end, IPv6 in brackets. True also where there is no Host,
// which HTTP/1.0 alone allows and no browser sends.
bool names_own_host(const RequestHead& head, const OwnNames& own);

// The host of "HOST[:PORT]" in lower case, without brackets and without a dot at the end; empty where it is none.
std::string host_of(std::string_view header);

}  // namespace verge::http
