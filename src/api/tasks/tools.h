// Functions that a model may call, as clients send them -> protocol::Tools and the messages of a
// history.
#pragma once

#include <string>
#include <string_view>

#include "api/tasks/text_generation.h"
#include "protocol/tasks/text_generation.h"

namespace verge::api {

// tools, tool_choice and parallel_tool_calls into `out.params.tools`. Takes {type:
// "function", function: {name, description, parameters}} and the flat {name, description,
// parameters}, with a type or without.
void read_tools(Params& in, TextRequest& out);

// One tool of a list. `at`: its JSON pointer. Errors: InvalidInput, UnsupportedParameter for tools
// that are no functions.
Result<protocol::Tool> read_tool(const json::value& value, std::string_view at);

// An assistant's `tool_calls` of a history, in OpenAI's form (arguments a text) or the native one
// (an object):
// [{id, type: "function", function: {name, arguments: {object}}}]. `at`: JSON pointer of the list.
Result<json::array> read_calls(const json::value& value, std::string_view at);

}  // namespace verge::api
