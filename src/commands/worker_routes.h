// Which hosted Worker takes a request: Cloudflare's route patterns, "shop.example/api/*", "*.example.com/*", "*/images/*".
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::commands {

struct WorkerRoute {
  std::string host;      // lower case; "*" = any, "*.x" = below x, "*x" = x and what ends in it
  std::string path;      // starts with '/'
  bool prefix = false;   // the pattern ended in '*'

  // InvalidInput: a '*' elsewhere than first or last, a query.
  static Result<WorkerRoute> parse(std::string_view pattern);
  bool matches(std::string_view host, std::string_view path) const;  // host as in the Host header, with or without a port
  bool names_host() const { return host != "*"; }
  // The more specific of two that match wins: a host before any host, then the longer path.
  size_t weight() const { return (names_host() ? size_t{1} << 32 : 0) + host.size() * 4096 + path.size(); }
};

// Whether a path (percent-decoded) leads below /cdn-cgi/ once dots, doubled slashes and backslashes are taken as a URL parser
// takes them: that is the runtime's, never a Worker's.
bool is_runtime_path(std::string_view path);

}  // namespace verge::commands
