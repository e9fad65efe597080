// The API: an HTTP request becomes protocol::Requests, a Service answers them with Events, and Events
// become the answer. Wire shapes of Workers AI and OpenAI live here and nowhere below.
// Owner: server::Server, on the one io thread; everything it is given outlives it.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "http/server.h"
#include "protocol/service.h"
#include "support/json.h"
#include "support/limits.h"
#include "support/metrics.h"

namespace verge::catalogue {
class Catalogue;
}
namespace verge::accounts {
class Accounts;
class Meter;
class ResponseStore;
}

namespace verge::api {

struct Options {
  std::string node = "local";                   // `verge-node` of answers that no model gave
  bool insecure = false;                        // callers from other machines need no token either
  std::vector<std::string> origins;             // patterns (origins.h) of web pages that may call without a token; loopback ones always may
  std::vector<std::string> hosts;               // names of this machine beside localhost and its addresses; "*" = any
  std::function<bool()> ready;                  // /readyz; absent = always
  std::function<std::set<std::string>()> offered;  // ids that can be asked now; absent = all of the catalogue
  bool stand_ins = false;                       // names of OpenAI's models are answered by what is here
  std::function<json::value()> status;          // /verge/v1/status; absent = {}
  std::function<json::value()> nodes;           // /verge/v1/nodes; absent = []
  // /verge/v1/placement: what is wished, and a wish for one model; absent = this server is in no cluster.
  std::function<http::task<Result<json::value>>()> wishes;
  std::function<http::task<Result<void>>(std::string model, json::object wish)> wish;
  bool image_results = false;                   // image answers as {"results": […]} instead of the published list
  std::string quota_message;                    // of 3036, see errors.h; empty = the usual one
  accounts::Meter* meter = nullptr;             // accounts' limits and the usage ledger; absent = neither
  accounts::ResponseStore* responses = nullptr; // what is kept of answers of /v1/responses; absent = nothing
  metrics::Registry* metrics = nullptr;         // /metrics; absent = none are kept
  // toMarkdown(): the kind of a file ("" = not supported), its Markdown, and what is supported (extension, media type).
  std::function<std::string(std::string_view name, std::string_view media_type)> markdown_kind;
  std::function<http::task<Result<std::string>>(std::string kind, std::string media_type, std::string bytes)> convert;
  std::vector<std::pair<std::string, std::string>> markdown_supported;
  int keep_alive_ms = limits::kSseKeepAliveMs;  // a stream silent for so long gets a comment
};

struct Context;

// A hosted Worker whose env.AI the server itself vouches for: no token, and no other account than this one.
struct Vouched {
  std::string worker, account;
};

class Api {
 public:
  // accounts may be null: then no token is ever needed.
  Api(protocol::Service& service, const catalogue::Catalogue& catalogue, accounts::Accounts* accounts, Options options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // For http::Server: its handler and some of its options.
  http::task<void> handle(http::Incoming& in, http::Responder& out);
  // The same for what a hosted Worker asks; `by` outlives the answer. Of scope run at most.
  http::task<void> handle_vouched(http::Incoming& in, http::Responder& out, const Vouched& by);
  size_t body_limit(const http::RequestHead& head) const;
  std::string body_coding(const http::RequestHead& head) const;
  // Whether the path is one of the API's own, whatever the method. The page at "/" and the description at
  // "/openapi.json" are not: a hosted Worker may take them, and both are below "/verge" besides.
  bool takes(const http::RequestHead& head) const;
  // A path of each of the API's own routes.
  static std::vector<std::string> example_paths();
  // Whether the request's Host names this machine, or a token tells who may ask. handle() refuses others (403).
  bool expects_host(const http::RequestHead& head) const;
  static std::string error_body(int status, std::string_view message);

 private:
  http::task<void> answer(http::Incoming& in, http::Responder& out, const Vouched* by);
  std::unique_ptr<Context> context_;
};

}  // namespace verge::api
