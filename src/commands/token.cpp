#include "commands/token.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>

#include "accounts/accounts.h"
#include "accounts/token_file.h"
#include "server/data_folder.h"
#include "support/clock.h"
#include "support/json.h"

namespace verge::commands {
namespace {

struct Options {
  std::string data = server::default_data_folder();
  bool json = false;
  std::string name, scope = "run", account, expires, id;
};

std::string date(int64_t ms) {
  if (ms == 0) return "-";
  auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &utc);
  return text;
}

json::object as_json(const accounts::Token& token) {
  json::object out{
      {"id", token.id},       {"name", token.name}, {"scope", token.scope}, {"account", nullptr}, {"created_ms", token.created_ms},
      {"revoked_ms", nullptr}, {"expires_ms", nullptr}, {"used_ms", nullptr}};
  if (!token.account.empty()) out["account"] = token.account;
  if (token.revoked_ms) out["revoked_ms"] = token.revoked_ms;
  if (token.expires_ms) out["expires_ms"] = token.expires_ms;
  if (token.used_ms) out["used_ms"] = token.used_ms;
  return out;
}

Result<void> create(accounts::Accounts& accounts, const Options& options) {
  const auto before = accounts.tokens_required();
  const bool first = before && !*before;  // also where the database that had them is lost: this is how to go on
  int64_t expires_ms = 0;
  if (!options.expires.empty()) {
    VERGE_ASSIGN(until, accounts::parse_expiry(options.expires, unix_ms()));
    expires_ms = until;
  }
  VERGE_ASSIGN(made, accounts.create(options.name, options.scope, options.account, unix_ms(), expires_ms));
  if (options.json) {
    json::object out = as_json(made.token);
    out["token"] = made.secret;
    std::printf("%s\n", json::serialize(out).c_str());
    return {};
  }
  std::printf("%s\n", made.secret.c_str());
  std::fprintf(stderr, "This is token %s (%s). It is shown this once: only its hash is kept.\n", made.token.id.c_str(),
               made.token.scope.c_str());
  if (expires_ms) std::fprintf(stderr, "It expires at %s UTC.\n", date(expires_ms).c_str());
  if (first) std::fprintf(stderr, "From now on the server of this data folder answers requests with a token only.\n");
  return {};
}

Result<void> list(accounts::Accounts& accounts, const Options& options) {
  VERGE_ASSIGN(tokens, accounts.list());
  if (options.json) {
    json::array out;
    for (const auto& token : tokens) out.push_back(as_json(token));
    std::printf("%s\n", json::serialize(out).c_str());
    return {};
  }
  constexpr const char* kRow = "%-14s %-8s %-18s %-17s %-17s %-17s %-17s %s\n";
  std::printf(kRow, "ID", "SCOPE", "ACCOUNT", "CREATED", "LAST USE", "EXPIRES", "REVOKED", "NAME");
  for (const auto& token : tokens)
    std::printf(kRow, token.id.c_str(), token.scope.c_str(), token.account.empty() ? "any" : token.account.c_str(), date(token.created_ms).c_str(),
                date(token.used_ms).c_str(), date(token.expires_ms).c_str(), date(token.revoked_ms).c_str(), token.name.c_str());
  return {};
}

Result<void> revoke(accounts::Accounts& accounts, const Options& options) {
  VERGE_ASSIGN(token, accounts.revoke(options.id, unix_ms()));
  if (options.json) std::printf("%s\n", json::serialize(as_json(token)).c_str());
  else std::fprintf(stderr, "Token %s is revoked.\n", token.id.c_str());
  return {};
}

}  // namespace

int token(int argc, char** argv) {
  CLI::App app("Create, list and revoke API tokens. Once one was made, every request needs one.", argv[0]);
  app.require_subcommand(1);
  app.fallthrough();
  Options options;
  app.add_option("--data", options.data, "Data folder of the server")->capture_default_str();
  app.add_flag("--json", options.json, "Print JSON");
  CLI::App* creating = app.add_subcommand("create", "Make a token and print it");
  creating->add_option("--name", options.name, "What it is for");
  creating->add_option("--scope", options.scope, "metrics (/metrics alone), read (lists, usage), run (also inference), or admin (everything)")
      ->capture_default_str()
      ->check(CLI::IsMember({"metrics", "read", "run", "admin", "inference"}));
  creating->add_option("--account", options.account, "The one account id that it may use; left out: any");
  creating->add_option("--expires", options.expires, "When it stops being good: 12h, 30d, 8w, 1y, or a date such as 2027-01-31 (left out: never)");
  CLI::App* listing = app.add_subcommand("list", "List tokens, revoked ones too");
  CLI::App* revoking = app.add_subcommand("revoke", "Make a token worthless, at once");
  revoking->add_option("id", options.id, "Its id, from 'list'")->required();
  CLI11_PARSE(app, argc, argv);

  auto accounts = accounts::Accounts::open(options.data);
  auto done = !accounts   ? Result<void>(accounts.error())
              : *creating ? create(*accounts, options)
              : *listing  ? list(*accounts, options)
                          : revoke(*accounts, options);
  if (done) return 0;
  std::fprintf(stderr, "verge token: %s\n", done.error().message.c_str());
  return 1;
}

}  // namespace verge::commands
