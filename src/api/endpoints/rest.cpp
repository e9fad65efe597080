// Workers AI over REST.
#include "api/endpoints/endpoints.h"
#include "api/endpoints/run.h"
#include "api/routes.h"
#include "api/tasks/params.h"

namespace verge::api {
namespace {

Result<void> refuse_queue_parameter(const Call& call) {
  auto queued = call.in.query_param("queueRequest");
  if (queued && as_bool(std::string_view(*queued)) != false) return not_built("/queueRequest", "asynchronous batches; send the requests one by one");
  return {};
}

struct Run {
  TaskInput input;
  RunOptions options;
};

// The model's inputs are the whole body: JSON, or for tasks that take one the raw bytes of a picture or a clip.
Result<Run> read_run(Call& call, const catalogue::Entry& entry) {
  VERGE_TRY(refuse_queue_parameter(call));
  const TaskHandler* handler = find_task_handler(entry.task);
  if (handler && handler->takes_payload && !call.in.body.empty() && !is_json_body(call.in.header("content-type"), call.in.body)) {
    VERGE_ASSIGN(input, raw_input(call));
    return Run{std::move(input), {}};
  }
  // Parameters of a JSON body stand in it, not in the query.
  std::vector<std::string> beside = query_names(call.in.query);
  std::erase(beside, "queueRequest");
  note_ignored(call, std::move(beside));
  VERGE_ASSIGN(lifted, lifted_body(call, ""));
  VERGE_ASSIGN(options, read_options(call, lifted.body));
  lifted.input.json = std::move(lifted.body);
  return Run{std::move(lifted.input), options};
}

}  // namespace

http::task<void> run_rest(Call& call) {
  auto entry = find_model(call, call.path.find("model")->second);
  auto run = entry ? read_run(call, **entry) : Result<Run>(entry.error());
  if (!run) { return respond_error(call, run.error()); }
  return run_native(call, **entry, std::move(run->input), run->options);
}

http::task<void> run_rest_universal(Call& call) {
  auto lifted = lifted_body(call, "");
  if (auto queued = refuse_queue_parameter(call); lifted && !queued) lifted = queued.error();
  std::optional<std::string> model = lifted ? get_string(lifted->body, "model") : std::nullopt;
  json::value* input = lifted ? lifted->body.if_contains("input") : nullptr;
  if (lifted && (!model || !input)) lifted = fail(Code::InvalidInput, "required properties at '/' are 'model,input'");
  auto entry = lifted ? find_model(call, *model) : Result<const catalogue::Entry*>(lifted.error());
  auto options = entry ? read_options(call, lifted->body) : Result<RunOptions>(entry.error());
  if (!options) { return respond_error(call, options.error()); }
  note_members_beside(call, lifted->body, {"model", "input", "options"});
  lifted->input.json = std::move(*input);
  return run_native(call, **entry, std::move(lifted->input), *options);
}

}  // namespace verge::api
