#include "api/admission.h"

#include <algorithm>

#include "accounts/accounts.h"
#include "api/origins.h"
#include "http/own_host.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::api {
namespace {

// The secret of "Bearer x", or Anthropic's header. A page cannot send either without being asked first (CORS).
std::string_view bearer(const http::RequestHead& in) {
  std::string_view value = in.header("authorization");
  if (value.size() > 7 && http::equal_names(value.substr(0, 7), "bearer ")) {
    value.remove_prefix(7);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  }
  return value.empty() ? in.header("x-api-key") : std::string_view();
}

std::string_view scope_of(Access access) {
  switch (access) {
    case Access::Read: return "read";
    case Access::Run: return "run";
    case Access::Metrics: return "metrics";
    default: return "admin";
  }
}

// All that are good for it.
std::string_view scopes_of(Access access) {
  switch (access) {
    case Access::Read: return "read, run or admin";
    case Access::Run: return "run or admin";
    case Access::Metrics: return "metrics or admin";
    default: return "admin";
  }
}

Result<void> admit_without_token(const Call& call) {
  if (!call.in.loopback && !call.context.options.insecure)
    return Error{Code::Forbidden, "this server answers its own machine only until a token was made (`verge token create`)"};
  if (page_may_read(call)) return {};
  const std::string_view origin = call.in.header("origin");
  return fail(Code::Forbidden, "pages of {:.128} may not use this server without a token: start it with --origin, or make a token", origin);
}

// A proxy on this machine passes on whom it serves: its connection is from here, the request is not.
bool came_through_proxy(const http::RequestHead& head) {
  for (const char* name : {"forwarded", "x-forwarded-for", "x-real-ip", "cf-connecting-ip", "via"})
    if (http::has_header(head.headers, name)) return true;
  return false;
}

// What logs, metrics and the usage ledger can hold as it is.
bool plain_account(std::string_view id) {
  return id.size() <= limits::kAccountBytes && std::ranges::all_of(id, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

bool loopback_origin(std::string_view origin) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!origin.starts_with(scheme)) continue;
    std::string_view host = origin.substr(scheme.size());
    if (host.starts_with("[::1]")) host = host.substr(0, 5 + (host.size() > 5 && host[5] != ':'));
    else host = host.substr(0, host.find(':'));
    return host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]";
  }
  return false;
}

bool page_may_read(const Call& call) {
  const std::string_view origin = call.in.header("origin");
  if (origin.empty() || loopback_origin(origin)) return true;
  return allows_origin(call.context.options.origins, origin);
}

// A page cannot take these from its requests: Origin goes with a POST, Accept-Language with everything.
bool sent_by_browser(const http::RequestHead& head) {
  for (const char* name : {"origin", "referer", "accept-language", "sec-fetch-site", "sec-fetch-mode"})
    if (http::has_header(head.headers, name)) return true;
  return false;
}

// The binding's client names a host of Cloudflare's in every request. A page could have that name only
// where somebody forges the name's address.
bool sent_by_binding(const http::RequestHead& head) {
  if (http::host_of(head.header("host")) != "workers-binding.ai") return false;
  const Match match = match_route(head.method, head.path);
  return match.route && match.route->shape == Shape::Binding && !sent_by_browser(head);
}

// Programs call a machine of their network by a bare name (a compose service, a line of /etc/hosts).
// Nobody can register one, but a hostile network may answer for it, so browsers may not use it.
bool bare_name(const http::RequestHead& head) {
  const std::string host = http::host_of(head.header("host"));
  return !host.empty() && host.find_first_of(".:") == std::string::npos && !sent_by_browser(head);
}

bool own_host(const http::RequestHead& head, const Options& options) {
  return http::names_own_host(head, {options.hosts, options.insecure}) || sent_by_binding(head) ||
         bare_name(head);
}

Error foreign_host(const http::RequestHead& head) {
  const std::string host = http::host_of(head.header("host"));
  if (host.empty()) return Error{Code::Forbidden, "the request's Host is no host's name"};
  return fail(Code::Forbidden,
              "'{:.128}' is no name of this machine: start the server with --host {:.128}, or make a token (`verge token create`)", host, host);
}

bool may_send_body(const Context& context, const http::RequestHead& head, const Route& route) {
  if (!context.accounts || route.access == Access::Open) return true;
  const auto required = context.accounts->tokens_required();
  if (!required || !*required) return head.loopback || context.options.insecure;
  const std::string_view secret = bearer(head);
  return !secret.empty() && context.accounts->verify(secret, unix_ms()).ok();
}

Result<void> admit(Call& call, const Route& route) {
  auto account = call.path.find("account");
  call.tenant = account == call.path.end() ? "default" : account->second;
  if (!plain_account(call.tenant)) return no_such_route(call.in.path);
  if (call.vouched) {
    const bool other = account != call.path.end() && account->second != call.vouched->account;
    call.tenant = call.vouched->account;
    if (route.access == Access::Admin || route.access == Access::Metrics)
      return fail(Code::Forbidden, "Authentication error: a Worker's env.AI runs and lists models, nothing else");
    if (other && route.access != Access::Open)
      return fail(Code::Forbidden, "Authentication error: this Worker's env.AI is for account {}", call.vouched->account);
    return {};
  }
  if (route.access == Access::Open) return {};
  const bool here = call.in.loopback && !came_through_proxy(call.in) && page_may_read(call) && own_host(call.in, call.context.options);
  if (route.access == Access::Metrics && here) return {};
  bool required = false;
  if (call.context.accounts) {
    auto asked = call.context.accounts->tokens_required();
    if (!asked) {
      log::error("it is not known who may ask", {{"id", call.id}, {"error", asked.error().message}});
      return own_failure(asked.error());
    }
    required = *asked;
  }
  if (!required) return admit_without_token(call);
  std::string_view secret = bearer(call.in);
  if (secret.empty()) return Error{Code::Unauthenticated, "a token is needed"};
  auto token = call.context.accounts->verify(secret, unix_ms());
  if (!token) return own_failure(token.error());
  const std::string_view needed = scope_of(route.access);
  if (!token->allows(needed))
    return fail(Code::Forbidden, "Authentication error: this needs a token of scope {}; this token's scope is {}",
                scopes_of(route.access), token->scope);
  if (!token->account.empty()) {
    if (account != call.path.end() && account->second != token->account)
      return fail(Code::Forbidden, "Authentication error: this token is for the account {} alone", token->account);
    call.tenant = token->account;
  }
  return {};
}

}  // namespace verge::api
