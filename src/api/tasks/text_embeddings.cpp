#include "api/tasks/text_embeddings.h"

#include <algorithm>
#include <numeric>

#include "api/errors.h"
#include "api/tasks/params.h"
#include "api/tasks/vectors.h"
#include "catalogue/schema.h"
#include "support/limits.h"

namespace verge::api {
namespace {

// Prepended to queries as the model's authors do (Qwen3-Embedding's model card).
constexpr const char* kInstruction = "Given a web search query, retrieve relevant passages that answer the query";

json::array instructed(const json::array& queries, std::string_view instruction) {
  json::array out;
  for (const json::value& query : queries) out.emplace_back(fmt::format("Instruct: {}\nQuery:{}", instruction, std::string_view(query.get_string())));
  return out;
}

}  // namespace

Result<json::array> read_texts(const json::value& value, std::string_view name) {
  json::array texts;
  if (value.is_string()) texts.push_back(value);
  else if (value.is_array()) texts = value.get_array();
  else return fail(Code::InvalidInput, "Type mismatch of '/{}', 'string' or 'array' not in '{}'", name, type_name(value));
  if (texts.empty()) return fail(Code::InvalidInput, "minItems at '/{}' is 1, got 0", name);
  if (texts.size() > limits::kTexts) return fail(Code::InvalidInput, "maxItems at '/{}' is {}, got {}", name, limits::kTexts, texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    if (!texts[i].is_string()) return fail(Code::InvalidInput, "Type mismatch of '/{}/{}', 'string' not in '{}'", name, i, type_name(texts[i]));
  return texts;
}

Result<json::array> read_contexts(const json::value& value) {
  const json::array* list = value.if_array();
  if (!list) return fail(Code::InvalidInput, "Type mismatch of '/contexts', 'array' not in '{}'", type_name(value));
  if (list->empty()) return fail(Code::InvalidInput, "minItems at '/contexts' is 1, got 0");
  if (list->size() > limits::kContexts) return fail(Code::InvalidInput, "maxItems at '/contexts' is {}, got {}", limits::kContexts, list->size());
  json::array texts;
  for (size_t i = 0; i < list->size(); ++i) {
    const json::object* context = (*list)[i].if_object();
    const json::value* text = context ? context->if_contains("text") : nullptr;
    if (!text || !text->is_string()) return fail(Code::InvalidInput, "required properties at '/contexts/{}' are 'text'", i);
    texts.push_back(*text);
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
    if (!found.empty()) return fail(Code::InvalidInput, "'/{}' and '/{}' cannot be answered together: send one of them", found, name);
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
  if (pooling && *pooling != "mean" && *pooling != "cls") return fail(Code::InvalidInput, "'/pooling' must be one of mean, cls");
  VERGE_ASSIGN(source, source_of_texts(in));
  if (query && source != "contexts") return fail(Code::InvalidInput, "required properties at '/' are 'query,contexts'");
  if (instruction && source != "queries") return fail(Code::InvalidInput, "'/instruction' is for '/queries', which are not here");

  json::array texts;
  if (source == "contexts") {
    VERGE_ASSIGN(list, read_contexts(*in.find(source)));
    texts = std::move(list);
    out.context["form"] = query ? "query" : "contexts";
    if (query) out.params["query"] = *query;
  } else {
    VERGE_ASSIGN(list, read_texts(*in.find(source), source));
    texts = source == "queries" ? instructed(list, instruction.value_or(kInstruction)) : std::move(list);
  }
  out.params["texts"] = std::move(texts);
  if (pooling) out.params["pooling"] = *pooling;
  // Models whose published parameter it is refuse long texts unless told to cut them.
  const auto cuts = truncate ? truncate : get_bool(entry.defaults, "truncate_inputs");
  if (cuts) out.params["truncate"] = *cuts;
  return out;
}

json::value answer_text_embeddings(const Answer& answer, const json::object& context) {
  const std::string form = get_string(context, "form").value_or("text");
  if (form == "query") {
    const json::array* scores = answer.result.is_object() ? get_array(answer.result.get_object(), "scores") : nullptr;
    json::array response;
    for (size_t i = 0; scores && i < scores->size(); ++i) response.push_back(json::object{{"id", i}, {"score", (*scores)[i]}});
    std::ranges::stable_sort(response, [](const json::value& a, const json::value& b) { return a.at("score").as_double() > b.at("score").as_double(); });
    return json::object{{"response", std::move(response)}};
  }
  const Vectors vectors = read_vectors(answer.result);
  json::array data;
  for (size_t i = 0; i < vectors.count; ++i) data.emplace_back(to_json(vectors.row(i)));
  json::object out{{"shape", {vectors.count, vectors.width}}};
  out[form == "contexts" ? "response" : "data"] = std::move(data);
  if (answer.result.is_object())
    if (auto pooling = get_string(answer.result.get_object(), "pooling"); pooling && *pooling != "last") out["pooling"] = *pooling;  // published: mean, cls
  return out;
}

}  // namespace verge::api
