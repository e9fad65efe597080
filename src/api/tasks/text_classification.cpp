#include "api/tasks/text_classification.h"

#include <algorithm>

#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "api/tasks/text_embeddings.h"

namespace verge::api {
namespace {

void best_first(json::array& list) {
  std::ranges::stable_sort(list, [](const json::value& a, const json::value& b) { return a.at("score").to_number<double>() > b.at("score").to_number<double>(); });
}

}  // namespace

Result<TaskRequest> parse_text_classification(TaskInput input, const catalogue::Entry&, const json::object& schema) {
  VERGE_ASSIGN(inputs, checked_inputs(std::move(input), schema, Surface::NativeClassification));
  Params in(inputs.body);
  TaskRequest out;
  out.ignored = std::move(inputs.ignored);
  const auto query = in.text("query"), text = in.text("text");
  const auto top_k = in.integer("top_k", 1, INT32_MAX);
  if (!in.ok()) return in.error();
  if (const json::value* contexts = in.find("contexts")) {
    if (!query) return fail(Code::InvalidInput, "required properties at '/' are 'query,contexts'");
    if (text) return fail(Code::InvalidInput, "'/text' and '/contexts' cannot be answered together: send one of them");
    VERGE_ASSIGN(list, read_contexts(*contexts));
    out.params["texts"] = std::move(list);
    out.params["query"] = *query;
    out.context["top_k"] = top_k.value_or(INT32_MAX);
    return out;
  }
  if (query) return fail(Code::InvalidInput, "required properties at '/' are 'query,contexts'");
  if (top_k) return fail(Code::InvalidInput, "'/top_k' is for '/contexts', which are not here: all classes are answered");
  if (!text) return fail(Code::InvalidInput, "required properties at '/' are 'text'");
  if (text->empty()) return fail(Code::InvalidInput, "Length of '/text' must be >= 1");
  out.params["texts"] = json::array{*text};
  return out;
}

json::value answer_text_classification(const Answer& answer, const json::object& context) {
  const json::object none;
  const json::object& result = answer.result.is_object() ? answer.result.get_object() : none;
  const json::array* labels = get_array(result, "labels");
  const json::array* rows = get_array(result, "scores");
  json::array out;
  if (const auto top_k = get_int(context, "top_k")) {
    // Of a model with several labels the last one means "fits".
    for (size_t i = 0; rows && i < rows->size(); ++i)
      if (const json::array* row = (*rows)[i].if_array(); row && !row->empty()) out.push_back(json::object{{"id", i}, {"score", row->back()}});
    best_first(out);
    if (static_cast<int64_t>(out.size()) > *top_k) out.resize(static_cast<size_t>(*top_k));
    return json::object{{"response", std::move(out)}};
  }
  const json::array* row = rows && !rows->empty() ? rows->front().if_array() : nullptr;
  for (size_t i = 0; row && labels && i < row->size() && i < labels->size(); ++i)
    out.push_back(json::object{{"label", (*labels)[i]}, {"score", (*row)[i]}});
  best_first(out);
  return out;
}

}  // namespace verge::api
