// From a validated TextRequest to the Requests that a Service runs: shared by the text routes.
#pragma once

#include <vector>

#include "api/call.h"
#include "api/endpoints/run.h"
#include "api/tasks/text_generation.h"

namespace verge::api {

// n Requests a prompt, each with its own seed: the same seed again gives the same answers.
std::vector<protocol::Request> make_requests(Call& call, const catalogue::Entry& entry, const TextRequest& text, const RunOptions& options);

// A native run of text generation: REST or binding.
http::task<void> run_text(Call& call, const catalogue::Entry& entry, json::value input, RunOptions options);

}  // namespace verge::api
