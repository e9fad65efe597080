#include "api/origins.h"

#include <algorithm>

#include "support/text.h"

namespace verge::api {
namespace {

struct Origin {
  std::string_view scheme, host, port;
};

bool is_scheme(std::string_view text) {
  return !text.empty() && text.front() >= 'a' && text.front() <= 'z' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

// Of small letters. The port is empty where there is none; an address in brackets keeps them.
Origin split(std::string_view text) {
  Origin out;
  const size_t mark = text.find("://");
  if (mark == text.npos) return out;
  out.scheme = text.substr(0, mark);
  out.host = text.substr(mark + 3);
  const size_t colon = out.host.find(':', out.host.starts_with('[') ? out.host.find(']') : 0);
  if (colon != out.host.npos) {
    out.port = out.host.substr(colon + 1);
    out.host = out.host.substr(0, colon);
  }
  const bool usual = (out.scheme == "http" && out.port == "80") || (out.scheme == "https" && out.port == "443");
  if (usual) out.port = {};
  return out;
}

bool fits(const Origin& pattern, const Origin& origin) {
  if (pattern.scheme != origin.scheme) return false;
  if (pattern.port != "*" && pattern.port != origin.port) return false;
  if (pattern.host == "*") return true;
  if (!pattern.host.starts_with("*.")) return pattern.host == origin.host;
  const std::string_view parent = pattern.host.substr(1);
  return origin.host.size() > parent.size() && origin.host.ends_with(parent);
}

}  // namespace

Result<std::string> parse_origin_pattern(std::string_view text) {
  std::string pattern = ascii_lower(text);
  if (pattern == "*" || pattern == "null") return pattern;
  if (pattern.ends_with('/') && !pattern.ends_with("://")) pattern.pop_back();
  const Origin parts = split(pattern);
  const auto wrong = [&](std::string_view why) {
    return fail(Code::InvalidInput, "--origin '{}' would never fit: {}. It is SCHEME://HOST[:PORT], as https://app.example or https://*.example:*", text, why);
  };
  if (!is_scheme(parts.scheme)) return wrong("there is no scheme, as https://");
  if (parts.host.empty()) return wrong("there is no host");
  if (parts.host.find_first_of("/?#@ ,") != parts.host.npos || parts.port.find_first_of("/?#@ ,") != parts.port.npos)
    return wrong("an origin has no path, query, user or list");
  const std::string_view stars = parts.host.starts_with("*.") ? parts.host.substr(2) : parts.host == "*" ? std::string_view() : parts.host;
  if (stars.find('*') != stars.npos || parts.host == "*.") return wrong("a star stands for whole labels at the front of the host, or for the port");
  if (parts.port != "*" && parts.port.find_first_not_of("0123456789") != parts.port.npos) return wrong("the port is not a number");
  return pattern;
}

bool allows_origin(const std::vector<std::string>& patterns, std::string_view origin) {
  const std::string plain = ascii_lower(origin);
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    if (pattern == "*" || pattern == "null") return pattern == "*" || plain == "null";
    return fits(split(pattern), split(plain));
  });
}

}  // namespace verge::api
