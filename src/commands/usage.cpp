#include "commands/usage.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "accounts/quota.h"
#include "accounts/usage_json.h"
#include "server/data_folder.h"
#include "commands/remote.h"
#include "http/message.h"
#include "support/clock.h"

namespace verge::commands {
namespace {

struct Options {
  std::string data = server::default_data_folder(), server, account, from, to, by = "account,day";
  bool json = false;
};

Result<json::object> ask_server(const Options& options) {
  std::string path = "/verge/v1/usage?by=" + http::percent_encode(options.by);
  for (const auto& [key, value] : {std::pair{"account", &options.account}, {"from", &options.from}, {"to", &options.to}})
    if (!value->empty()) path += fmt::format("&{}={}", key, http::percent_encode(*value));
  const char* token = std::getenv("VERGE_TOKEN");
  VERGE_ASSIGN(answer, get_json(options.server, path, token ? token : ""));
  const json::object* result = answer.is_object() ? get_object(answer.get_object(), "result") : nullptr;
  if (!result) return fail(Code::Io, "{} did not answer as a Verge server", options.server);
  return *result;
}

Result<json::object> read_book(const Options& options) {
  const auto file = std::filesystem::path(options.data) / "usage.db";
  std::error_code ec;
  if (!std::filesystem::exists(file, ec)) return fail(Code::NotFound, "{} is not there: no server has run with this data folder", file.string());
  VERGE_ASSIGN(query, accounts::usage_query(options.from, options.to, options.by, accounts::day_of(unix_ms())));
  if (!options.account.empty()) query.account = options.account;
  VERGE_ASSIGN(book, accounts::UsageBook::snapshot(options.data));
  VERGE_ASSIGN(lines, book.report(query));
  return accounts::usage_json(query, lines);
}

void print_line(const json::object& line, const std::string& name) {
  const auto number = [&](const char* key) { return static_cast<long long>(get_int(line, key).value_or(0)); };
  std::printf("%-56s %9lld %7lld %9lld %12lld %12lld %10.1f %7lld %14.3f\n", name.c_str(), number("requests"), number("failed"), number("substituted"), number("prompt_tokens"), number("completion_tokens"),
              get_number(line, "audio_seconds").value_or(0), number("images"), get_number(line, "neurons").value_or(0));
}

void print_table(const json::object& report) {
  std::printf("%-56s %9s %7s %9s %12s %12s %10s %7s %14s\n", "", "REQUESTS", "FAILED", "STOOD IN", "PROMPT", "GENERATED", "AUDIO S", "IMAGES", "NEURONS");
  for (const json::value& value : report.at("rows").as_array()) {
    const json::object& row = value.as_object();
    std::string name;
    for (const char* key : {"account", "day", "gateway", "model", "answered_by", "task"})
      if (auto text = get_string(row, key)) name += (name.empty() ? "" : "  ") + *text;
    print_line(row, name);
  }
  print_line(report.at("total").as_object(), "total");
}

}  // namespace

int usage(int argc, char** argv) {
  CLI::App app("Show what accounts have used, from the data folder or a running server", argv[0]);
  Options options;
  auto* data = app.add_option("--data", options.data, "Data folder of the server")->capture_default_str();
  app.add_option("--server", options.server, "Ask this server instead (token of scope admin in $VERGE_TOKEN)")->excludes(data);
  app.add_option("--account", options.account, "One account only");
  app.add_option("--from", options.from, "First day (UTC), as 2026-11-24; left out: the last one");
  app.add_option("--to", options.to, "Last day; left out: today");
  app.add_option("--by", options.by, "Group by day, model, answered_by, task, account, gateway; separated by commas")->capture_default_str();
  app.add_flag("--json", options.json, "Print JSON");
  CLI11_PARSE(app, argc, argv);
  auto report = options.server.empty() ? read_book(options) : ask_server(options);
  if (!report) {
    std::fprintf(stderr, "verge usage: %s\n", report.error().message.c_str());
    return 1;
  }
  if (options.json) std::printf("%s\n", json::serialize(*report).c_str());
  else print_table(*report);
  return 0;
}

}  // namespace verge::commands
