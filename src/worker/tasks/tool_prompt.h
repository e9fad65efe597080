// Calls and their results as a model's chat template takes them, or as plain text where it knows of
// no tools.
#pragma once

#include "engine/tools/syntax.h"
#include "protocol/tasks/text_generation.h"
#include "support/json.h"

namespace verge::worker {

// A JSON Schema of the tool's arguments, an object. Where the client's says nothing of others than
// its properties, there are none: a model that makes some up calls a function that does not know
// them.
json::object arguments_schema(const protocol::Tool& tool);

// The functions as templates expect them: [{type, function: {name, description, parameters}}].
json::array template_tools(const protocol::Tools& tools);

// Calls that a client's history holds as texts of the assistant, {"name", "arguments"}, each with a
// result of that name behind it (@cloudflare/ai-utils): as tool_calls.
json::array with_written_calls(json::array messages);

// Messages for a template that knows of no tools: the functions in the system message, calls as the
// generic syntax writes them, results in the user's turn. Without tools and calls they are as they
// were.
json::array plain_messages(json::array messages, const protocol::Tools& tools);

// Ids of calls in the form that a family's template insists on.
json::array with_ids(json::array messages, const engine::tools::Syntax& syntax);
// The id of an answer's call. The same request has the same ids wherever it is answered.
std::string call_id(const engine::tools::Syntax& syntax, std::string_view request, size_t index,
                    std::string_view name);

}  // namespace verge::worker
