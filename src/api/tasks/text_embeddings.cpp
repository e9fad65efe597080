#include "api/tasks/text_embeddings.h"

#include <algorithm>
#include <numeric>

#include "api/errors.h"
#include "api/tasks/params.h"
#include "api/tasks/vectors.h"
#include "catalogue/schema.h"
#include "protocol/tasks/text_embeddings.h"
#include "support/limits.h"

namespace verge::api {
namespace {

// Prepended to queries as the model's authors do (Qwen3-Embedding's model card).
constexpr const char* kInstruction = "Given a web search query, retrieve relevant passages that answer the query";

std::vector<std::string> instructed(std::vector<std::string> queries, std::string_view instruction) {
  for (std::string& query : queries) query = fmt::format("Instruct: {}\nQuery:{}", instruction, query);
  return queries;
}

}  // namespace

Result<std::vector<std::string>> read_texts(const json::value& value, std::string_view name) {
  json::array texts;
  if (value.is_string()) texts.push_back(value);
  else if (value.is_array()) texts = value.get_array();
  else return fail_at(Code::InvalidInput, fmt::format("/{}", name), "Type mismatch of '/{}', 'string' or 'array' not in '{}'", name, type_name(value));
  if (texts.empty()) return fail_at(Code::InvalidInput, fmt::format("/{}", name), "minItems at '/{}' is 1, got 0", name);
  if (texts.size() > limits::kTexts) return fail_at(Code::InvalidInput, fmt::format("/{}", name), "maxItems at '/{}' is {}, got {}", name, limits::kTexts, texts.size());
  std::vector<std::string> out;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!texts[i].is_string()) return fail_at(Code::InvalidInput, fmt::format("/{}/{}", name, i), "Type mismatch of '/{}/{}', 'string' not in '{}'", name, i, type_name(texts[i]));
    out.emplace_back(texts[i].get_string());
  }
  return out;
}

Result<std::vector<std::string>> read_contexts(const json::value& value) {
  const json::array* list = value.if_array();
  if (!list) return fail_at(Code::InvalidInput, "/contexts", "Type mismatch of '/contexts', 'array' not in '{}'", type_name(value));
  if (list->empty()) return fail_at(Code::InvalidInput, "/contexts", "minItems at '/contexts' is 1, got 0");
  if (list->size() > limits::kContexts) return fail_at(Code::InvalidInput, "/contexts", "maxItems at '/contexts' is {}, got {}", limits::kContexts, list->size());
  std::vector<std::string> texts;
  for (size_t i = 0; i < list->size(); ++i) {
    const json::object* context = (*list)[i].if_object();
    const json::value* text = context ? context->if_contains("text") : nullptr;
    if (!text || !text->is_string()) return fail_at(Code::InvalidInput, fmt::format("/contexts/{}", i), "required properties at '/contexts/{}' are 'text'", i);
    texts.emplace_back(text->get_string());
  }
  return texts;
}

Result<CheckedInputs> checked_inputs(TaskInput input, const json::object& schema, Surface surface) {
  CheckedInputs out;
  if (json::object* object = input.json.if_object()) {
    for (auto it = object->begin(); it != object->end();) it = it->value().is_null() ? object->erase(it) : it + 1;
    for (const char* name : {"truncate_inputs", "stream"})
      if (json::value* value = object->if_contains(name); value && value->is_string())
        if (auto flag = as_bool(*value)) *value = *flag;
    VERGE_ASSIGN(ignored, check_parameters(surface, *object));
    out.ignored = std::move(ignored);
  }
  VERGE_TRY(catalogue::validate(schema, input.json));
  if (!input.json.is_object()) return fail(Code::InvalidInput, "Type mismatch of '/', 'object' not in '{}'", type_name(input.json));
  out.body = std::move(input.json.get_object());
  return out;
}

namespace {

// The one member that holds the texts. Two of them would be two wishes, and one answer.
Result<std::string_view> source_of_texts(const Params& in) {
  std::string_view found;
  for (std::string_view name : {"contexts", "queries", "documents", "text"}) {
    if (!in.find(name)) continue;
    if (!found.empty()) return fail_at(Code::InvalidInput, fmt::format("/{}", found), "'/{}' and '/{}' cannot be answered together: send one of them", found, name);
    found = name;
  }
  if (found.empty()) return fail(Code::InvalidInput, "required properties at '/' are 'text'");
  return found;
}

}  // namespace

Result<TaskRequest> parse_text_embeddings(TaskInput input, const catalogue::Entry& entry, const json::object& schema) {
  VERGE_ASSIGN(inputs, checked_inputs(std::move(input), schema, Surface::NativeEmbeddings));
  Params in(inputs.body);
  TaskRequest out;
  out.ignored = std::move(inputs.ignored);
  const auto query = in.text("query");
  auto pooling = in.text("pooling");
  const auto instruction = in.text("instruction");
  const auto truncate = in.flag("truncate_inputs");
  if (!in.ok()) return in.error();
  if (!pooling) pooling = get_string(entry.defaults, "pooling");
  protocol::EmbeddingParameters params;
  if (pooling) params.pooling = protocol::embedding_pooling(*pooling);
  if (pooling && *pooling != "mean" && *pooling != "cls") return fail_at(Code::InvalidInput, "/pooling", "'/pooling' must be one of mean, cls");
  VERGE_ASSIGN(source, source_of_texts(in));
  if (query && source != "contexts") return fail(Code::InvalidInput, "required properties at '/' are 'query,contexts'");
  if (instruction && source != "queries") return fail_at(Code::InvalidInput, "/instruction", "'/instruction' is for '/queries', which are not here");

  if (source == "contexts") {
    VERGE_ASSIGN(list, read_contexts(*in.find(source)));
    params.texts = std::move(list);
    out.context["form"] = query ? "query" : "contexts";
    params.query = query;
  } else {
    VERGE_ASSIGN(list, read_texts(*in.find(source), source));
    params.texts = source == "queries" ? instructed(std::move(list), instruction.value_or(kInstruction)) : std::move(list);
  }
  // Models whose published parameter it is refuse long texts unless told to cut them.
  params.truncate = truncate ? truncate : get_bool(entry.defaults, "truncate_inputs");
  out.params = protocol::to_json(params);
  return out;
}

Result<json::value> answer_text_embeddings(const Answer& answer, const json::object& context) {
  VERGE_ASSIGN(result, protocol::embeddings(answer.result));
  const std::string form = get_string(context, "form").value_or("text");
  if (form == "query") {
    json::array response;
    for (size_t i = 0; i < result.scores.size(); ++i) response.push_back(json::object{{"id", i}, {"score", result.scores[i]}});
    std::ranges::stable_sort(response, [](const json::value& a, const json::value& b) { return a.at("score").as_double() > b.at("score").as_double(); });
    return json::value(json::object{{"response", std::move(response)}});
  }
  json::array data;
  for (size_t i = 0; i < result.count; ++i) data.emplace_back(to_json(result.row(i)));
  json::object out{{"shape", {result.count, result.width}}};
  out[form == "contexts" ? "response" : "data"] = std::move(data);
  if (result.pooling != protocol::EmbeddingPooling::Last) out["pooling"] = protocol::to_string(result.pooling);  // published: mean, cls
  return json::value(std::move(out));
}

}  // namespace verge::api
