#include "http/own_host.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "support/text.h"

namespace verge::http {
namespace {

bool all_digits(std::string_view text) { return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }); }

// IPv4 as IPv6's mapped form, so that two spellings of one address are equal.
std::optional<in6_addr> address_of(const std::string& text) {
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return v6;
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) != 1) return std::nullopt;
  v6.s6_addr[10] = v6.s6_addr[11] = 0xff;
  std::memcpy(v6.s6_addr + 12, &v4, sizeof v4);
  return v6;
}

bool is_loopback(const in6_addr& address) {
  return IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127);
}

bool same(const in6_addr& a, const std::optional<in6_addr>& b) { return b && std::memcmp(&a, &*b, sizeof a) == 0; }

bool is_localhost(std::string_view host) {
  constexpr std::string_view kBelow = ".localhost";
  return host == "localhost" || (host.size() > kBelow.size() && host.ends_with(kBelow));
}

}  // namespace

std::string host_of(std::string_view header) {
  std::string_view host = header, port;
  const bool bracketed = header.starts_with('[');
  if (bracketed) {
    const size_t end = header.find(']');
    if (end == header.npos) return "";
    host = header.substr(1, end - 1);
    port = header.substr(end + 1);
  } else if (const size_t colon = header.find(':'); colon != header.npos) {
    host = header.substr(0, colon);
    port = header.substr(colon);
  }
  if (!port.empty() && (port.front() != ':' || port.size() > 6 || !all_digits(port.substr(1)))) return "";
  if (!bracketed && host.ends_with('.')) host.remove_suffix(1);
  const auto allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || (bracketed ? c == ':' : c == '_');
  };
  if (host.empty() || host.starts_with('.') || host.ends_with('.') || host.find("..") != host.npos || !std::ranges::all_of(host, allowed)) return "";
  std::string plain = ascii_lower(host);
  if (bracketed && !address_of(plain)) return "";
  return plain;
}

bool names_own_host(const RequestHead& head, const OwnNames& own) {
  if (!has_header(head.headers, "host")) return true;
  const std::string host = host_of(head.header("host"));
  const auto mine = [&](const std::string& name) { return name == "*" || host_of(name) == host; };
  if (host.empty()) return std::ranges::find(own.names, "*") != own.names.end();
  if (is_localhost(host) || std::ranges::any_of(own.names, mine)) return true;
  const auto address = address_of(host);
  return address && (own.any_address || is_loopback(*address) || same(*address, address_of(head.local)));
}

}  // namespace verge::http
