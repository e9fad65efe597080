#include "api/tasks/text_classification.h"

#include <algorithm>

#include "api/tasks/parameters.h"
#include "api/tasks/params.h"
#include "api/tasks/text_embeddings.h"
#include "protocol/tasks/text_classification.h"

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
    if (text) return fail_at(Code::InvalidInput, "/text", "'/text' and '/contexts' cannot be answered together: send one of them");
    VERGE_ASSIGN(list, read_contexts(*contexts));
    out.params = protocol::to_json(protocol::ClassificationParameters{*query, std::move(list)});
    out.context["top_k"] = top_k.value_or(INT32_MAX);
    return out;
  }
  if (query) return fail(Code::InvalidInput, "required properties at '/' are 'query,contexts'");
  if (top_k) return fail_at(Code::InvalidInput, "/top_k", "'/top_k' is for '/contexts', which are not here: all classes are answered");
  if (!text) return fail(Code::InvalidInput, "required properties at '/' are 'text'");
  if (text->empty()) return fail_at(Code::InvalidInput, "/text", "Length of '/text' must be >= 1");
  out.params = protocol::to_json(protocol::ClassificationParameters{std::nullopt, {*text}});
  return out;
}

Result<json::value> answer_text_classification(const Answer& answer, const json::object& context) {
  VERGE_ASSIGN(result, protocol::classification(answer.result));
  json::array out;
  if (const auto top_k = get_int(context, "top_k")) {
    // Of a model with several labels the last one means "fits".
    for (size_t i = 0; i < result.scores.size(); ++i)
      if (!result.scores[i].empty()) out.push_back(json::object{{"id", i}, {"score", result.scores[i].back()}});
    best_first(out);
    if (static_cast<int64_t>(out.size()) > *top_k) out.resize(static_cast<size_t>(*top_k));
    return json::value(json::object{{"response", std::move(out)}});
  }
  if (result.scores.size() != 1) return fail(Code::Internal, "the model has classified {} texts, not one", result.scores.size());
  for (size_t i = 0; i < result.labels.size(); ++i) out.push_back(json::object{{"label", result.labels[i]}, {"score", result.scores.front()[i]}});
  best_first(out);
  return json::value(std::move(out));
}

}  // namespace verge::api
