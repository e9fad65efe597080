// Published JSON of text embeddings <-> the parameters that the worker takes (protocol/tasks/text_embeddings.h). The
// forms of all the models: {text}, bge-m3's {query?, contexts}, qwen3's {queries | documents, instruction?}.
#pragma once

#include "api/tasks/parameters.h"
#include "api/tasks/task.h"

namespace verge::api {

Result<TaskRequest> parse_text_embeddings(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
Result<json::value> answer_text_embeddings(const Answer& answer, const json::object& context);

// A string or an array of strings. InvalidInput names `name`.
Result<std::vector<std::string>> read_texts(const json::value& value, std::string_view name);
// The texts of [{"text": string}, …].
Result<std::vector<std::string>> read_contexts(const json::value& value);
struct CheckedInputs {
  json::object body;
  std::vector<std::string> ignored;  // names that the surface does not know
};
// Null counts as absent, and booleans may be texts. InvalidInput where `input` is not an object or breaks the schema,
// UnsupportedParameter for what the surface refuses.
Result<CheckedInputs> checked_inputs(TaskInput input, const json::object& schema, Surface surface);

}  // namespace verge::api
