#include "support/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "support/utf8.h"

namespace verge::log {
namespace {

struct State {
  Format format = Format::Text;
  std::string component = "verge";
  std::shared_ptr<spdlog::logger> logger = spdlog::stderr_color_mt("verge");
};
State& state() {
  static State s;
  return s;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::Debug: return spdlog::level::debug;
    case Level::Info: return spdlog::level::info;
    case Level::Warn: return spdlog::level::warn;
    case Level::Error: return spdlog::level::err;
    case Level::Off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

// The code point of one valid sequence of UTF-8.
uint32_t code_point(std::string_view sequence) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(sequence[i])); };
  if (sequence.size() == 1) return byte(0);
  uint32_t point = byte(0) & (0xffu >> (sequence.size() + 1));
  for (size_t i = 1; i < sequence.size(); ++i) point = point << 6 | (byte(i) & 0x3f);
  return point;
}

// What a terminal or a reader of lines would act on: control characters, line separators, marks that turn text around.
bool acts(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

// Clients choose what is in a field. Nothing of it ends a line, moves a cursor or is no UTF-8.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  while (!text.empty()) {
    const size_t valid = utf8_sequence(text);
    const size_t length = std::max<size_t>(valid, 1);
    const uint32_t point = valid == 0 ? 0xfffd : code_point(text.substr(0, length));
    if (valid == 0 || acts(point)) out += fmt::format("\\u{:04x}", point);
    else if (quotes && (point == '"' || point == '\\')) (out += '\\') += static_cast<char>(point);
    else out += text.substr(0, length);
    text.remove_prefix(length);
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text, true);
  out += '"';
}

bool is_plain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\'; });
}

}  // namespace

void configure(Level level, Format format, std::string component) {
  State& s = state();
  s.format = format;
  s.component = std::move(component);
  s.logger->set_level(to_spdlog(level));
  if (format == Format::Json) s.logger->set_pattern("%v");
  else s.logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ " + s.component + " %v");
}

bool writes(Level level) { return state().logger->should_log(to_spdlog(level)); }

void write(Level level, std::string_view message, Fields fields) {
  State& s = state();
  const auto spd = to_spdlog(level);
  if (!s.logger->should_log(spd)) return;
  std::string line;
  if (s.format == Format::Json) {
    line = fmt::format("{{\"time_ms\":{},\"level\":\"{}\",\"component\":",
                       std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(),
                       spdlog::level::to_string_view(spd).data());
    append_json_string(line, s.component);
    line += ",\"message\":";
    append_json_string(line, message);
    for (const Field& f : fields) {
      line += ',';
      append_json_string(line, f.key);
      line += ':';
      if (f.number) line += f.text;
      else append_json_string(line, f.text);
    }
    line += '}';
  } else {
      // A message of several lines: those that follow are set in, so that none of them can pass for
      // an entry of its own.
      for (std::string_view rest = message;;) {
        const size_t end = rest.find('\n');
        append_escaped(line, rest.substr(0, end), false);
        if (end == std::string_view::npos) break;
        line += "\n    ";
        rest.remove_prefix(end + 1);
      }
    for (const Field& f : fields) {
      line += fmt::format(" {}=", f.key);
      if (is_plain(f.text)) line += f.text;
      else append_json_string(line, f.text);
    }
  }
  s.logger->log(spd, line);
}

}  // namespace verge::log
