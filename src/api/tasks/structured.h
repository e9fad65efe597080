// What a client says that an answer must look like: response_format, guided_json, guided_regex, guided_choice -> the worker's
// `grammar` (worker/grammars.h). Whether a schema can be met is for the worker to say, before the first token.
#pragma once

#include "api/tasks/text_generation.h"

namespace verge::api {

// Sets `out.params.grammar` and `out.json`. `bare`: response_format's json_schema may be the schema itself, as the native
// route has it, beside OpenAI's {name, schema, strict}.
void read_structured(Params& in, bool bare, TextRequest& out);

}  // namespace verge::api
