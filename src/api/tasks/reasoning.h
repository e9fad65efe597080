// `reasoning_effort` as each model's own schema publishes it: its levels, what other words become,
// and whether thoughts can be left out. Models without a row have the general rule of the worker
// (worker/tasks/text_generation.cpp).
#pragma once

#include "api/tasks/text_generation.h"

namespace verge::api {

// reasoning_effort and what chat_template_kwargs says of thoughts, into `out.params`:
// "reasoning_effort", and "reasoning_levels" where the model has some of its own. What a model can
// do with them is for the worker to say, which knows its template.
void read_reasoning(Params& in, const catalogue::Entry& entry, TextRequest& out);

}  // namespace verge::api
