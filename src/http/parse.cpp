#include "http/parse.h"

#include <array>
#include <cstring>

#include "support/limits.h"

namespace verge::http {
namespace {

constexpr size_t kExtensionBytes = 64;  // of one chunk's size line: nobody sends them but attackers
constexpr size_t kTrailerBytes = 4096;
constexpr size_t kMethodBytes = 32;

// RFC 9110, 5.6.2: tchar
constexpr std::array<bool, 256> kTokenChar = [] {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

constexpr bool value_char(unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); }
constexpr bool target_char(unsigned char c) { return c > 0x20 && c != 0x7f && c != '#'; }

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

// Takes one line, without its CRLF, off the front. The scanner has seen that every LF follows a CR.
std::string_view take_line(std::string_view& text) {
  const size_t lf = text.find('\n');
  if (lf == std::string_view::npos || lf == 0) return text.substr(0, 0);
  const std::string_view line = text.substr(0, lf - 1);
  text.remove_prefix(lf + 1);
  return line;
}

// True where the comma-separated list holds the token.
bool list_has(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (equal_names(trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

bool parse_length(std::string_view text, uint64_t& out) {
  if (text.empty() || text.size() > 18) return false;  // 18 digits fit 64 bits
  out = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    out = out * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

struct Seen {
  int hosts = 0, lengths = 0, codings = 0;
  uint64_t length = 0;
  bool chunked = false, close = false, keep_alive = false;
};

// All lines after the first.
Refusal parse_fields(std::string_view rest, Headers& headers, Seen& seen) {
  headers.clear();
  while (true) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    if (headers.size() >= limits::kHeaderLines) return {431, "too many header lines"};
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {400, "a header line has no colon"};
    const std::string_view name = line.substr(0, colon);
    if (!is_token(name)) return {400, "invalid header name"};  // folded lines and a space before the colon end here too
    const std::string_view value = trim(line.substr(colon + 1));
    for (unsigned char c : value)
      if (!value_char(c)) return {400, "control character in a header"};
    switch (name.size()) {  // most lines are none of these: look at the length first
      case 4:
        if (equal_names(name, "host")) {
          ++seen.hosts;
          if (value.find_first_of(" \t/@,\\?#") != std::string_view::npos) return {400, "invalid Host"};
        }
        break;
      case 10:
        if (equal_names(name, "connection")) {
          seen.close |= list_has(value, "close");
          seen.keep_alive |= list_has(value, "keep-alive");
        }
        break;
      case 14:
        if (equal_names(name, "content-length")) {
          ++seen.lengths;
          if (!parse_length(value, seen.length)) return {400, "invalid Content-Length"};
        }
        break;
      case 17:
        if (equal_names(name, "transfer-encoding")) {
          ++seen.codings;
          if (!equal_names(value, "chunked")) return {400, "the only Transfer-Encoding is chunked"};
          seen.chunked = true;
        }
        break;
      default: break;
    }
    headers.push_back({std::string(name), std::string(value)});
  }
  if (!rest.empty()) return {400, "bytes after the head"};
  if (seen.lengths > 1) return {400, "more than one Content-Length"};
  if (seen.codings > 1) return {400, "more than one Transfer-Encoding"};
  if (seen.lengths && seen.codings) return {400, "Content-Length beside Transfer-Encoding"};
  return {};
}

// "http://host/path?x" -> "/path?x" and "host": the form that requests to proxies have, which servers must take too.
bool to_origin_form(std::string_view& target, std::string_view& host) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() || !equal_names(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const size_t slash = target.find_first_of("/?");
    if (slash == 0) return false;  // no host
    host = target.substr(0, slash);
    if (host.find('@') != host.npos) return false;  // who sends a name or a password there hides something (RFC 9110, 4.2.4)
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    return true;
  }
  return false;
}

// `host` is set where the target is a whole address.
Refusal parse_target(std::string_view target, RequestHead& out, std::string_view& host) {
  if (target.size() > limits::kTargetBytes) return {414, "the request target is too long"};
  for (unsigned char c : target)
    if (!target_char(c)) return {400, "invalid character in the request target"};
  if (target.empty()) return {400, "no request target"};
  if (target == "*") {
    if (out.method != "OPTIONS") return {400, "invalid request target"};
  } else if (target.front() != '/') {
    if (!to_origin_form(target, host)) return {400, "invalid request target"};
  }
  out.target = target.front() == '?' ? "/" + std::string(target) : std::string(target);
  const size_t mark = out.target.find('?');
  auto path = percent_decode(std::string_view(out.target).substr(0, mark));
  if (!path) return {400, "invalid percent-encoding in the path"};
  out.path = std::move(*path);
  if (mark == std::string::npos) out.query.clear();
  else out.query = out.target.substr(mark + 1);
  return {};
}

}  // namespace

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (unsigned char c : text)
    if (!kTokenChar[c]) return false;
  return true;
}

bool valid_header(const Header& header) {
  if (!is_token(header.name)) return false;
  for (unsigned char c : header.value)
    if (!value_char(c)) return false;
  return true;
}

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
  while (position_ < bytes.size()) {
    const void* found = std::memchr(bytes.data() + position_, '\n', bytes.size() - position_);
    if (!found) {
      position_ = bytes.size();
      return State::More;
    }
    const size_t lf = static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
    position_ = lf + 1;
    if (lf == 0 || bytes[lf - 1] != '\r' || lf - 1 < line_start_) return State::Bad;
    if (lf - 1 == line_start_) return State::Done;
    line_start_ = position_;
  }
  return State::More;
}

Refusal parse_request_head(std::string_view head, RequestHead& out, Framing& framing) {
  framing = {};
  std::string_view rest = head;
  const std::string_view line = take_line(rest);
  const size_t method_end = line.find(' ');
  if (method_end == std::string_view::npos || method_end > kMethodBytes || !is_token(line.substr(0, method_end))) return {400, "invalid request line"};
  out.method.assign(line.substr(0, method_end));
  const size_t target_end = line.rfind(' ');
  if (target_end == method_end) return {400, "invalid request line"};
  const std::string_view version = line.substr(target_end + 1);
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || version[6] != '.' || version[5] < '0' || version[5] > '9' || version[7] < '0' ||
      version[7] > '9')
    return {400, "invalid request line"};
  if (version[5] != '1') return {505, "HTTP/1.1 is spoken here"};
  out.minor_version = version[7] == '0' ? 0 : 1;
  if (out.method == "CONNECT") return {501, "not a proxy"};
  std::string_view host;
  if (Refusal refusal = parse_target(line.substr(method_end + 1, target_end - method_end - 1), out, host)) return refusal;

  Seen seen;
  if (Refusal refusal = parse_fields(rest, out.headers, seen)) return refusal;
  if (seen.hosts > 1) return {400, "more than one Host"};
  if (seen.hosts == 0 && out.minor_version == 1) return {400, "no Host"};
  if (!host.empty()) {
    std::erase_if(out.headers, [](const Header& header) { return equal_names(header.name, "host"); });
    out.headers.push_back({"Host", std::string(host)});
  }
  if (seen.chunked && out.minor_version == 0) return {400, "Transfer-Encoding in HTTP/1.0"};
  framing.keep_alive = out.minor_version == 1 ? !seen.close : seen.keep_alive && !seen.close;
  if (seen.chunked) framing.body = BodyKind::Chunked;
  else if (seen.length > 0) framing.body = BodyKind::Length;
  framing.length = seen.length;
  if (const std::string_view expect = out.header("expect"); !expect.empty()) {
    if (!equal_names(expect, "100-continue")) return {417, "unknown expectation"};
    framing.expect_continue = out.minor_version == 1 && framing.body != BodyKind::None;
  }
  return {};
}

Refusal parse_response_head(std::string_view head, bool head_request, ResponseHead& out, Framing& framing) {
  framing = {};
  std::string_view rest = head;
  const std::string_view line = take_line(rest);
  // "HTTP/1.1 200" and then a space and a reason, or nothing.
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1." || (line[7] != '0' && line[7] != '1') || line[8] != ' ' || (line.size() > 12 && line[12] != ' '))
    return {400, "invalid status line"};
  out.status = 0;
  for (char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') return {400, "invalid status line"};
    out.status = out.status * 10 + (c - '0');
  }
  if (out.status < 100) return {400, "invalid status line"};
  Seen seen;
  if (Refusal refusal = parse_fields(rest, out.headers, seen)) return refusal;
  framing.keep_alive = line[7] == '1' ? !seen.close : seen.keep_alive && !seen.close;
  framing.length = seen.length;
  if (head_request || out.status < 200 || out.status == 204 || out.status == 304) return {};
  if (seen.chunked) framing.body = BodyKind::Chunked;
  else if (seen.lengths) framing.body = seen.length ? BodyKind::Length : BodyKind::None;
  else framing.body = BodyKind::UntilClose;
  if (framing.body == BodyKind::UntilClose) framing.keep_alive = false;
  return {};
}

ChunkDecoder::State ChunkDecoder::feed(std::string_view in, size_t max_bytes, std::string& out, size_t& used) {
  used = 0;
  while (step_ != Step::Done) {
    if (used == in.size()) return State::More;
    if (step_ == Step::Data) {  // the only step that takes more than a byte at a time
      const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, in.size() - used));
      if (take > max_bytes - out.size()) return State::TooLarge;
      out.append(in.substr(used, take));
      used += take;
      left_ -= take;
      if (left_ == 0) step_ = Step::DataCr;
      continue;
    }
    const char c = in[used++];
    switch (step_) {
      case Step::Size: {
        int digit = -1;
        if (c >= '0' && c <= '9') digit = c - '0';
        else if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
        if (digit >= 0) {
          if (++digits_ > 15) return State::Bad;
          left_ = left_ * 16 + static_cast<uint64_t>(digit);
        } else if (digits_ == 0) {
          return State::Bad;
        } else if (c == '\r') {
          step_ = Step::SizeLf;
        } else if (c == ';') {
          step_ = Step::Extension;
        } else {
          return State::Bad;
        }
        break;
      }
      case Step::Extension:
        if (c == '\r') step_ = Step::SizeLf;
        else if (!value_char(static_cast<unsigned char>(c)) || ++overhead_ > kExtensionBytes) return State::Bad;
        break;
      case Step::SizeLf:
        if (c != '\n') return State::Bad;
        if (left_ > max_bytes - out.size()) return State::TooLarge;
        step_ = left_ ? Step::Data : Step::TrailerStart;
        digits_ = 0;
        overhead_ = 0;
        break;
      case Step::DataCr:
        if (c != '\r') return State::Bad;
        step_ = Step::DataLf;
        break;
      case Step::DataLf:
        if (c != '\n') return State::Bad;
        step_ = Step::Size;
        break;
      case Step::TrailerStart:
        if (c == '\r') step_ = Step::EndLf;
        else if (!kTokenChar[static_cast<unsigned char>(c)] || ++overhead_ > kTrailerBytes) return State::Bad;
        else step_ = Step::Trailer;
        break;
      case Step::Trailer:
        if (c == '\r') step_ = Step::TrailerLf;
        else if (!value_char(static_cast<unsigned char>(c)) || ++overhead_ > kTrailerBytes) return State::Bad;
        break;
      case Step::TrailerLf:
        if (c != '\n') return State::Bad;
        step_ = Step::TrailerStart;
        break;
      case Step::EndLf:
        if (c != '\n') return State::Bad;
        step_ = Step::Done;
        break;
      case Step::Data:
      case Step::Done: break;
    }
  }
  return State::Done;
}

}  // namespace verge::http
