// Which hosted Worker takes a request: Cloudflare's route patterns, "shop.example/api/*", "*.example.com/*", "*/images/*".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace verge::hosting {

struct WorkerRoute {
  std::string host;      // lower case; "*" = any, "*.x" = below x, "*x" = x and what ends in it
  std::string path;      // starts with '/'
  bool prefix = false;   // the pattern ended in '*'

  // InvalidInput: a '*' elsewhere than first or last, a query.
  static Result<WorkerRoute> parse(std::string_view pattern);
  bool matches(std::string_view host, std::string_view path) const;  // host as in the Host header, with or without a port
  bool names_host() const { return host != "*"; }
  // The more specific of two that match wins: a host before any host, then the longer path.
  std::string pattern() const { return host + path + (prefix ? "*" : ""); }
  bool operator==(const WorkerRoute&) const = default;
  size_t weight() const { return (names_host() ? size_t{1} << 32 : 0) + host.size() * 4096 + path.size(); }
};

// What a hosted Worker wants of the requests that come in.
struct RouteClaim {
  std::string worker;
  std::vector<WorkerRoute> routes;
  bool rest = false;  // it has none, and takes what the API leaves
};
// Routes that collide: one pattern, or the rest, wanted by two Workers; a route over the API's own paths, under any name or one
// of `own_hosts`. `api_paths`: one of each of the API's routes. InvalidInput, which names the route and both sides.
Result<void> check_claims(const std::vector<RouteClaim>& claims, const std::vector<std::string>& own_hosts,
                          const std::vector<std::string>& api_paths);

// Whether a path (percent-decoded) leads below /cdn-cgi/ once dots, doubled slashes and backslashes are taken as a URL parser
// takes them: that is the runtime's, never a Worker's.
bool is_runtime_path(std::string_view path);

}  // namespace verge::hosting
