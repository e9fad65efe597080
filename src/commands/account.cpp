#include "commands/account.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "accounts/accounts.h"
#include "accounts/quota.h"
#include "accounts/usage_json.h"
#include "catalogue/catalogue.h"
#include "server/data_folder.h"
#include "support/clock.h"
#include "support/json.h"

namespace verge::commands {
namespace {

using accounts::Settings;

struct Options {
  std::string data = server::default_data_folder();
  bool json = false;
  std::string id, daily, concurrency;
  std::vector<std::string> rates;  // TASK=N
};

// A number, "unlimited" or "default".
Result<double> read_amount(const std::string& text, double most, const char* name) {
  if (text == "unlimited") return static_cast<double>(Settings::kUnlimited);
  if (text == "default") return static_cast<double>(Settings::kUnset);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= most))
    return fail(Code::InvalidInput, "{} takes a number from 0 to {:.0f}, 'unlimited' or 'default', not '{}'", name, most, text);
  return value;
}

// `set`: what holds for the account now. What was set for a name that is no task may be taken back.
Result<Settings> read_changes(const Options& options, const catalogue::Catalogue& catalogue, const Settings& set) {
  Settings changes;
  if (!options.daily.empty()) {
    VERGE_ASSIGN(daily, read_amount(options.daily, 1e12, "--daily-neurons"));
    changes.daily_neurons = daily < 0 ? static_cast<int64_t>(daily) : std::llround(daily * static_cast<double>(accounts::kMicro));
  }
  if (!options.concurrency.empty()) {
    VERGE_ASSIGN(concurrency, read_amount(options.concurrency, 1e6, "--concurrency"));
    changes.concurrency = std::llround(concurrency);
  }
  for (const std::string& text : options.rates) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return fail(Code::InvalidInput, "--rate takes TASK=N, as in text-generation=300, not '{}'", text);
    std::string amount = text.substr(equals + 1);
    if (amount.ends_with("/min")) amount.resize(amount.size() - 4);
    VERGE_ASSIGN(rate, read_amount(amount, 1e6, "--rate"));
    const std::string task = text.substr(0, equals);
    const bool taken_back = rate == static_cast<double>(Settings::kUnset) && set.rates.contains(task);
    if (!catalogue.task(task) && !taken_back) return fail(Code::InvalidInput, "--rate {}: no such task; these are: {}", task, catalogue.task_names());
    changes.rates[task] = std::llround(rate);
  }
  return changes;
}

json::object as_json(const std::string& id, const Settings& settings) {
  const auto amount = [](const std::optional<int64_t>& value) -> json::value {
    if (!value) return "default";
    if (*value == Settings::kUnlimited) return "unlimited";
    return *value;
  };
  json::object rates;
  for (const auto& [task, per_minute] : settings.rates) rates[task] = amount(per_minute);
  json::value daily = amount(settings.daily_neurons);
  if (daily.is_int64()) daily = accounts::whole_neurons(*settings.daily_neurons);
  return {{"id", id}, {"daily_neurons", std::move(daily)}, {"concurrency", amount(settings.concurrency)}, {"requests_per_minute", std::move(rates)}};
}

std::string shown(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return json::serialize(value);
}

void print(const json::array& accounts, bool as_json_text) {
  if (as_json_text) {
    std::printf("%s\n", json::serialize(accounts).c_str());
    return;
  }
  std::printf("%-32s %16s %12s  %s\n", "ACCOUNT", "NEURONS A DAY", "CONCURRENCY", "REQUESTS A MINUTE");
  for (const json::value& account : accounts) {
    std::string rates;
    for (const auto& [task, value] : account.at("requests_per_minute").as_object())
      rates += fmt::format("{}{}={}", rates.empty() ? "" : " ", std::string_view(task), shown(value));
    std::printf("%-32s %16s %12s  %s\n", shown(account.at("id")).c_str(), shown(account.at("daily_neurons")).c_str(), shown(account.at("concurrency")).c_str(),
                rates.empty() ? "default" : rates.c_str());
  }
}

Result<void> set(accounts::Accounts& accounts, const Options& options) {
  VERGE_ASSIGN(catalogue, catalogue::Catalogue::load({}));
  VERGE_ASSIGN(before, accounts.settings(options.id));
  VERGE_ASSIGN(changes, read_changes(options, catalogue, *before));
  VERGE_TRY(accounts.set(options.id, changes, unix_ms()));
  VERGE_ASSIGN(now, accounts.settings(options.id));
  print({as_json(options.id, *now)}, options.json);
  return {};
}

Result<void> list(accounts::Accounts& accounts, const Options& options) {
  VERGE_ASSIGN(all, accounts.all_settings());
  json::array out;
  for (const auto& [id, settings] : *all) out.push_back(as_json(id, settings));
  print(out, options.json);
  return {};
}

Result<void> remove(accounts::Accounts& accounts, const Options& options) {
  VERGE_ASSIGN(removed, accounts.remove(options.id, unix_ms()));
  if (!removed) return fail(Code::NotFound, "nothing is set for the account '{}'", options.id);
  std::fprintf(stderr, "Account %s has the server's default limits again. Its tokens and its usage stay.\n", options.id.c_str());
  return {};
}

}  // namespace

int account(int argc, char** argv) {
  CLI::App app("Set what accounts may use. A running server of the same data folder follows at once.", argv[0]);
  app.require_subcommand(1);
  app.fallthrough();
  Options options;
  app.add_option("--data", options.data, "Data folder of the server")->capture_default_str();
  app.add_flag("--json", options.json, "Print JSON");
  CLI::App* setting = app.add_subcommand("set", "Set limits of an account; each is a number, 'unlimited' or 'default'");
  setting->add_option("id", options.id, "The account")->required();
  setting->add_option("--daily-neurons", options.daily, "Neurons a day (UTC)");
  setting->add_option("--rate", options.rates, "TASK=N: requests a minute of a task, as in text-generation=300 (repeatable)");
  setting->add_option("--concurrency", options.concurrency, "Requests at once");
  CLI::App* listing = app.add_subcommand("list", "List accounts that have limits of their own");
  CLI::App* removing = app.add_subcommand("remove", "Take all of an account's limits back to the server's defaults");
  removing->add_option("id", options.id, "The account")->required();
  CLI11_PARSE(app, argc, argv);

  auto accounts = accounts::Accounts::open(options.data);
  auto done = !accounts   ? Result<void>(accounts.error())
              : *setting  ? set(*accounts, options)
              : *listing  ? list(*accounts, options)
                          : remove(*accounts, options);
  if (done) return 0;
  std::fprintf(stderr, "verge account: %s\n", done.error().message.c_str());
  return 1;
}

}  // namespace verge::commands
