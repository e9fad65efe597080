#include "hosting/worker_routes.h"

#include <algorithm>
#include <vector>

#include "support/text.h"

namespace verge::hosting {

Result<WorkerRoute> WorkerRoute::parse(std::string_view pattern) {
  std::string_view rest = pattern;
  for (std::string_view scheme : {"https://", "http://"}) {
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  }
  WorkerRoute route;
  const size_t slash = rest.find('/');
  route.host = ascii_lower(rest.substr(0, slash));
  if (route.host.ends_with('.')) route.host.pop_back();
  route.path = slash == rest.npos ? "/" : std::string(rest.substr(slash));
  route.prefix = route.path.ends_with('*');
  if (route.prefix) route.path.pop_back();
  const bool star_inside = route.path.find('*') != std::string::npos || route.host.find('*', 1) != std::string::npos;
  if (route.host.empty() || star_inside || route.path.find('?') != std::string::npos)
    return fail(Code::InvalidInput, "'{}' is no route: HOST/PATH, where a * may be the first of the host or the last of the path", pattern);
  return route;
}

bool WorkerRoute::matches(std::string_view host_header, std::string_view request_path) const {
  if (const size_t colon = host_header.rfind(':'); colon != host_header.npos && host_header.find(']', colon) == host_header.npos) host_header = host_header.substr(0, colon);
  if (host_header.ends_with('.')) host_header.remove_suffix(1);  // "shop.example." is the same name
  const bool host_matches = host.starts_with('*') ? ascii_lower(host_header).ends_with(host.substr(1)) : ascii_lower(host_header) == host;
  if (!host_matches) return false;
  if (!prefix) return request_path == path;
  // "/api/*" takes "/api" too.
  return request_path.starts_with(path) || (path.size() > 1 && path.ends_with('/') && request_path == std::string_view(path).substr(0, path.size() - 1));
}

namespace {

// A route that names no host gets what the API leaves: of "*/*" that is a lot, of "*/v1/*" it would be holes.
Result<void> check_api(const RouteClaim& claim, const WorkerRoute& route, const std::vector<std::string>& own_hosts,
                       const std::vector<std::string>& api_paths) {
  if (is_runtime_path(route.path))
    return fail(Code::InvalidInput, "Worker {}: route '{}' is below /cdn-cgi/, where nothing is served", claim.worker, route.pattern());
  if (!route.names_host() && route.path == "/" && route.prefix) return {};
  for (const std::string& path : api_paths) {
    if (!route.names_host() && route.matches("", path))
      return fail(Code::InvalidInput, "Worker {}: route '{}' collides with the API's own {}; give it a host, as in 'shop.example{}'", claim.worker,
                  route.pattern(), path, route.pattern().substr(1));
    if (!route.names_host()) continue;
    for (const std::string& host : own_hosts)
      if (host != "*" && route.matches(host, path))
        return fail(Code::InvalidInput,
                    "Worker {}: route '{}' would take the API's own {} on {}, a name of this server; '*/*' takes what the API leaves",
                    claim.worker, route.pattern(), path, host);
  }
  return {};
}

// "*/*" in so many words, or none at all.
bool takes_rest(const RouteClaim& claim) {
  return claim.rest || std::ranges::any_of(claim.routes, [](const WorkerRoute& route) { return route.pattern() == "*/*"; });
}

}  // namespace

Result<void> check_claims(const std::vector<RouteClaim>& claims, const std::vector<std::string>& own_hosts,
                          const std::vector<std::string>& api_paths) {
  for (size_t i = 0; i < claims.size(); ++i) {
    for (const WorkerRoute& route : claims[i].routes) {
      VERGE_TRY(check_api(claims[i], route, own_hosts, api_paths));
      for (size_t j = 0; j < i; ++j)
        for (const WorkerRoute& other : claims[j].routes)
          if (other == route)
            return fail(Code::InvalidInput, "the Workers {} and {} have the same route '{}'", claims[j].worker, claims[i].worker, route.pattern());
    }
    for (size_t j = 0; j < i; ++j)
      if (takes_rest(claims[i]) && takes_rest(claims[j]))
        return fail(Code::InvalidInput,
                    "the Workers {} and {} would both take all that the API leaves: give one a route, as in --worker "
                    "'{}.example/*=DIR', or say \"workers_dev\": false in the configuration of one that only Workers call",
                    claims[j].worker, claims[i].worker, claims[i].worker);
  }
  return {};
}

bool is_runtime_path(std::string_view path) {
  std::vector<std::string> segments;
  for (std::string_view rest = path; !rest.empty();) {
    const size_t end = rest.find_first_of("/\\");
    const std::string segment = ascii_lower(rest.substr(0, end));
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
  }
  return !segments.empty() && segments.front() == "cdn-cgi";
}

}  // namespace verge::hosting
