// What workerd's `env.AI` sends: the model's id in a header, {"inputs","options"} as body, or one
// input's raw bytes with the others in the query. Answers are bare results.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/text.h"

namespace verge::api {
namespace {

// "prefix:@cf/author/model" -> "@cf/author/model".
std::string_view without_prefix(std::string_view id) {
  size_t colon = id.rfind(':');
  return colon == id.npos ? id : id.substr(colon + 1);
}

struct Inputs {
  json::value inputs;
  RunOptions options;
};

Result<Inputs> read_inputs(Call& call) {
  // A stream among the inputs: its bytes are the body, whose key is not told.
  if (call.in.query_param("userInputs")) return not_built("/", "this model takes text, not a stream");
  VERGE_ASSIGN(body, body_object(call));
  json::value* inputs = body.if_contains("inputs");
  if (!inputs) return fail(Code::InvalidInput, "required properties at '/' are 'inputs'");
  VERGE_ASSIGN(options, read_options(get_object(body, "options")));
  return Inputs{std::move(*inputs), options};
}

}  // namespace

http::task<void> run_binding(Call& call) {
  std::string_view id = without_prefix(call.in.header("cf-consn-model-id"));
  auto entry = id.empty() ? Result<const catalogue::Entry*>(fail(Code::InvalidInput, "the header cf-consn-model-id is missing"))
                          : find_model(call, id);
  auto read = entry ? read_inputs(call) : Result<Inputs>(entry.error());
  if (!read) { return respond_error(call, read.error()); }
  return run_native(call, **entry, std::move(read->inputs), read->options);
}

http::task<void> run_websocket(Call& call) {
  bool upgrade = http::equal_names(call.in.header("upgrade"), "websocket");
  if (upgrade) return respond_error(call, not_built("/websocket", "send a POST"));
  call.headers.push_back({"allow", "POST"});
  return respond_error(call, Error{Code::MethodNotAllowed, "Method not allowed: send a POST"});
}

http::task<void> markdown(Call& call) { return respond_error(call, not_built("/toMarkdown")); }

}  // namespace verge::api
