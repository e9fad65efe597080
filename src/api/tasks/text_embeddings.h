// Published JSON of text embeddings <-> the parameters that the worker takes (worker/tasks/text_embeddings.h). The
// forms of all the models: {text}, bge-m3's {query?, contexts}, qwen3's {queries | documents, instruction?}.
#pragma once

#include "api/tasks/task.h"

namespace verge::api {

Result<TaskRequest> parse_text_embeddings(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
json::value answer_text_embeddings(const Answer& answer, const json::object& context);

// A string or an array of strings. InvalidInput names `name`.
Result<json::array> read_texts(const json::value& value, std::string_view name);
// [{"text": string}, …] as an array of strings.
Result<json::array> read_contexts(const json::value& value);
// Null counts as absent; InvalidInput where `input` breaks the schema or is no object; UnsupportedParameter for `requests`.
Result<json::object> checked_inputs(TaskInput input, const json::object& schema);

}  // namespace verge::api
