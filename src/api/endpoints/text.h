// From a validated TextRequest to the Requests that a Service runs: shared by the text routes.
#pragma once

#include <vector>

#include "api/call.h"
#include "api/tasks/text_generation.h"
#include "protocol/request.h"

namespace verge::api {

// The entry of an id that runs text generation; NoSuchModel.
Result<const catalogue::Entry*> find_model(Call& call, std::string_view id);

// Options that stand beside the inputs: rejectIfBusy, queueRequest.
struct RunOptions {
  bool reject_if_busy = false;
};
Result<RunOptions> read_options(const json::object* options);

// n Requests a prompt, each with its own seed: the same seed again gives the same answers.
std::vector<protocol::Request> make_requests(Call& call, const catalogue::Entry& entry, const TextRequest& text, const RunOptions& options);

// A native run: REST or binding.
http::task<void> run_native(Call& call, const catalogue::Entry& entry, json::value input, RunOptions options);

}  // namespace verge::api
