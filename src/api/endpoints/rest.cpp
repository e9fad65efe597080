// Workers AI over REST.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/text.h"

namespace verge::api {
namespace {

Result<void> refuse_queue_parameter(const Call& call) {
  auto queued = call.in.query_param("queueRequest");
  if (queued && *queued != "false") return not_built("/queueRequest", "asynchronous batches; send the requests one by one");
  return {};
}

}  // namespace

http::task<void> run_rest(Call& call) {
  auto entry = find_model(call, call.path.find("model")->second);
  auto queue = refuse_queue_parameter(call);
  auto body = !entry ? Result<json::object>(entry.error()) : !queue ? Result<json::object>(queue.error()) : body_object(call);
  if (!body) { return respond_error(call, body.error()); }
  auto options = read_options(get_object(*body, "options"));
  if (!options) { return respond_error(call, options.error()); }
  return run_native(call, **entry, std::move(*body), *options);
}

http::task<void> run_rest_universal(Call& call) {
  auto body = body_object(call);
  std::optional<std::string> model = body ? get_string(*body, "model") : std::nullopt;
  json::value* input = body ? body->if_contains("input") : nullptr;
  if (body && !model) body = fail(Code::InvalidInput, "required properties at '/' are 'model,input'");
  if (body && !input) body = fail(Code::InvalidInput, "required properties at '/' are 'model,input'");
  auto entry = body ? find_model(call, *model) : Result<const catalogue::Entry*>(body.error());
  auto options = entry ? read_options(get_object(*body, "options")) : Result<RunOptions>(entry.error());
  if (!options) { return respond_error(call, options.error()); }
  return run_native(call, **entry, std::move(*input), *options);
}

}  // namespace verge::api
