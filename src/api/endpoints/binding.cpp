// What workerd's `env.AI` sends: the model's id in a header, {"inputs","options"} as body, or one
// input's raw bytes with the others in the query. Answers are bare results.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"
#include "api/text_body.h"

namespace verge::api {
namespace {

// "prefix:@cf/author/model" -> "@cf/author/model".
std::string_view without_prefix(std::string_view id) {
  size_t colon = id.rfind(':');
  return colon == id.npos ? id : id.substr(colon + 1);
}

struct Run {
  TaskInput input;
  RunOptions options;
};

// A stream among the inputs: its bytes are the body (its key is not told), the other inputs are JSON in the query,
// and so are the options, as strings.
Result<Run> read_stream(Call& call, std::string others, bool takes_payload) {
  if (!takes_payload) return not_built("/", "this model takes text, not a stream");
  VERGE_TRY(make_utf8(others, ""));
  VERGE_ASSIGN(inputs, parse_json(others));
  json::object options;
  if (auto busy = call.in.query_param("rejectIfBusy")) options["rejectIfBusy"] = *busy;
  if (auto queued = call.in.query_param("queueRequest")) options["queueRequest"] = *queued;
  Run run;
  const json::object beside{{"options", std::move(options)}};
  VERGE_ASSIGN(read, read_options(call, beside));
  run.options = read;
  if (call.in.body.empty()) return fail(Code::InvalidInput, "the request has no body");
  run.input.json = inputs.is_object() ? std::move(inputs) : json::value(json::object());
  run.input.payload = std::move(call.in.body);
  run.input.content_type = std::string(call.in.header("content-type"));
  return run;
}

Result<Run> read_run(Call& call, const catalogue::Entry& entry) {
  const TaskHandler* handler = find_task_handler(entry.task);
  if (auto others = call.in.query_param("userInputs")) return read_stream(call, std::move(*others), handler && handler->takes_payload);
  VERGE_ASSIGN(lifted, lifted_body(call, "inputs"));
  VERGE_ASSIGN(options, read_options(call, lifted.body));
  note_members_beside(call, lifted.body, {"inputs", "options"});
  return Run{std::move(lifted.input), options};
}

}  // namespace

http::task<void> run_binding(Call& call) {
  std::string_view id = without_prefix(call.in.header("cf-consn-model-id"));
  auto entry = id.empty() ? Result<const catalogue::Entry*>(fail(Code::InvalidInput, "the header cf-consn-model-id is missing"))
                          : find_model(call, id);
  auto run = entry ? read_run(call, **entry) : Result<Run>(entry.error());
  if (!run) { return respond_error(call, run.error()); }
  return run_native(call, **entry, std::move(run->input), run->options);
}

http::task<void> run_websocket(Call& call) {
  bool upgrade = http::equal_names(call.in.header("upgrade"), "websocket");
  if (upgrade) return respond_error(call, not_built("/websocket", "send a POST"));
  call.headers.push_back({"allow", "POST"});
  return respond_error(call, Error{Code::MethodNotAllowed, "Method not allowed: send a POST"});
}

}  // namespace verge::api
