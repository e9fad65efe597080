#include "support/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

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

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') { out += '\\'; out += static_cast<char>(c); }
    else if (c < 0x20) out += fmt::format("\\u{:04x}", c);
    else out += static_cast<char>(c);
  }
  out += '"';
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
    line = message;
    for (const Field& f : fields) {
      const bool quote = f.text.empty() || f.text.find_first_of(" \t\n\"") != std::string::npos;
      line += fmt::format(" {}=", f.key);
      if (quote) append_json_string(line, f.text);
      else line += f.text;
    }
  }
  s.logger->log(spd, line);
}

}  // namespace verge::log
