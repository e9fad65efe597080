#include "commands/worker_routes.h"

#include <vector>

#include "support/text.h"

namespace verge::commands {

Result<WorkerRoute> WorkerRoute::parse(std::string_view pattern) {
  std::string_view rest = pattern;
  for (std::string_view scheme : {"https://", "http://"}) {
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  }
  WorkerRoute route;
  const size_t slash = rest.find('/');
  route.host = ascii_lower(rest.substr(0, slash));
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
  const bool host_matches = host.starts_with('*') ? ascii_lower(host_header).ends_with(host.substr(1)) : ascii_lower(host_header) == host;
  if (!host_matches) return false;
  if (!prefix) return request_path == path;
  // "/api/*" takes "/api" too.
  return request_path.starts_with(path) || (path.size() > 1 && path.ends_with('/') && request_path == std::string_view(path).substr(0, path.size() - 1));
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

}  // namespace verge::commands
