// Published JSON of text classification and of rerankers <-> the parameters that the worker takes
// (protocol/tasks/text_classification.h).
#pragma once

#include "api/tasks/task.h"

namespace verge::api {

// {text}, or {query, contexts, top_k?}.
Result<TaskRequest> parse_text_classification(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
// [{label, score}] best first, or {response: [{id, score}]} best first.
Result<json::value> answer_text_classification(const Answer& answer, const json::object& context);

}  // namespace verge::api
