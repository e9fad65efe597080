#include "commands/remote.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdlib>

#include "http/client.h"
#include "support/spawn.h"

namespace verge::commands {
namespace {

constexpr size_t kAnswerBytes = 64 << 20;

// The first of an envelope's errors.
std::string message_of(const json::value& body) {
  const json::object* object = body.if_object();
  const json::array* errors = object ? get_array(*object, "errors") : nullptr;
  const json::object* first = errors && !errors->empty() ? errors->front().if_object() : nullptr;
  return first ? get_string(*first, "message").value_or("") : "";
}

// Why a server refuses: without a token, with one that it does not know, or with one that may not.
Error not_allowed(int status, const Result<json::value>& body, bool token) {
  if (status == 403) return fail(Code::Forbidden, "the server refuses: {}", body ? message_of(*body) : "it does not say why");
  if (!token) return fail(Code::Unauthenticated, "the server wants a token: set VERGE_TOKEN (made by 'verge token create')");
  return fail(Code::Unauthenticated, "the server does not know the token in VERGE_TOKEN: it is misspelt, revoked, or another server's");
}

http::task<Result<json::value>> ask(http::Client& client, http::ClientRequest request, std::string token) {
  if (!token.empty()) request.headers.push_back({"authorization", "Bearer " + token});
  auto response = co_await client.send(std::move(request));
  if (!response) co_return response.error();
  auto body = co_await (*response)->read_all(kAnswerBytes);
  if (!body) co_return body.error();
  auto parsed = parse_json(*body);
  const int status = (*response)->status;
  if (status == 401 || status == 403) co_return not_allowed(status, parsed, !token.empty());
  if (status >= 400) co_return fail(Code::Internal, "the server answered {}: {}", status, body->substr(0, 400));
  co_return parsed;
}

}  // namespace

std::string default_server() {
  const char* server = std::getenv("VERGE_SERVER");
  return server && *server ? server : kDefaultServer;
}

namespace {

Result<json::value> exchange(const std::string& server, http::ClientRequest request, const std::string& token) {
  VERGE_ASSIGN(endpoint, http::parse_endpoint(server));
  boost::asio::io_context io;
  http::ClientOptions options;
  options.read_timeout_ms = 10'000;
  http::Client client(io.get_executor(), endpoint, options);
  Result<json::value> answer = fail(Code::Internal, "no answer");
  auto keep = [&]() -> http::task<void> { answer = co_await ask(client, std::move(request), token); };
  spawn(io.get_executor(), "the request", keep, [&](std::exception_ptr failure) {
    if (failure) answer = fail(Code::Io, "the request broke off");
    client.close_idle();
  });
  run_loop(io);
  return answer;
}

}  // namespace

Result<json::value> get_json(const std::string& server, const std::string& path, const std::string& token) {
  return exchange(server, http::ClientRequest("GET", path), token);
}

Result<json::value> put_json(const std::string& server, const std::string& path, const json::object& body, const std::string& token) {
  http::ClientRequest request("PUT", path);
  request.headers.push_back({"content-type", "application/json"});
  request.body = json::serialize(body);
  return exchange(server, std::move(request), token);
}

}  // namespace verge::commands
