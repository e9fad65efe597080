// A native run, over REST or the binding: model, inputs, options -> Requests -> the published answer.
#pragma once

#include <string_view>

#include "api/call.h"
#include "api/generation.h"
#include "api/tasks/task.h"
#include "protocol/request.h"

namespace verge::api {

// The entry of an id whose task is served here (and is `task`, where one is named); NoSuchModel. A name of OpenAI's is
// with --stand-ins the entry of what answers for its task, and the answer is marked as a stand-in's.
Result<const catalogue::Entry*> find_model(Call& call, std::string_view id, std::string_view task = {});

// The member `options` of a body: what is said of the run and not to the model.
struct RunOptions {
  bool reject_if_busy = false;
};
Result<RunOptions> read_options(Call& call, const json::object& body);

// A Request with all that is the call's and not the task's.
protocol::Request make_request(Call& call, const catalogue::Entry& entry, const RunOptions& options);

// The body as a JSON object, byte arrays lifted out of it, and with them as payload. `inputs` names the member that
// holds the model's inputs ("inputs", "input"), empty where they are the body itself.
struct LiftedInput {
  json::object body;
  TaskInput input;
};
Result<LiftedInput> lifted_body(const Call& call, std::string_view inputs);
// Members of a body that wraps a model's inputs, beside the known ones, have no effect and are noted.
void note_members_beside(Call& call, const json::object& body, std::initializer_list<std::string_view> known);

// Inputs of a raw body: its bytes are the payload, the query's parameters are the other inputs, as strings.
Result<TaskInput> raw_input(Call& call);

// Bytes as they come, of one content type.
std::unique_ptr<AnswerFormat> bytes_answer(std::string content_type);

http::task<void> run_native(Call& call, const catalogue::Entry& entry, TaskInput input, RunOptions options);

}  // namespace verge::api
