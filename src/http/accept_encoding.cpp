#include "http/accept_encoding.h"

#include <algorithm>
#include <optional>

#include "http/message.h"

namespace verge::http {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "0", "0.0", "0.000": all of a weight's digits are zeros.
bool refuses(std::string_view parameter) {
  parameter = trim(parameter);
  if (!parameter.starts_with("q=") && !parameter.starts_with("Q=")) return false;
  return parameter.find_first_of("123456789") == parameter.npos;
}

}  // namespace

AcceptedCodings accepted_codings(std::string_view list) {
  std::optional<bool> gzip, brotli;
  bool others = false;
  while (!list.empty()) {
    std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    const size_t semicolon = item.find(';');
    const std::string_view name = trim(item.substr(0, semicolon));
    const bool taken = semicolon == item.npos || !refuses(item.substr(semicolon + 1));
    if (equal_names(name, "gzip") || equal_names(name, "x-gzip")) gzip = taken;
    else if (equal_names(name, "br")) brotli = taken;
    else if (name == "*") others = taken;
  }
  return {gzip.value_or(others), brotli.value_or(others)};
}

}  // namespace verge::http
