#include "api/openapi.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "api/endpoints/endpoints.h"
#include "api/openapi_parts.h"
#include "api/routes.h"
#include "api/tasks/parameters.h"
#include "api/utf8.h"
#include "support/version.h"

namespace verge::api {
namespace {

using Endpoint = http::task<void> (*)(Call& call);

enum class Body { None, Native, AnyModel, Binding, Parameters, Form, Files, Documents, Wish };

// What an endpoint is called and does. Required parameters are separated by spaces.
struct Operation {
  Endpoint run;
  std::string_view id, tag, summary;
  Body body = Body::None;
  std::string_view answer = "Anything";  // a schema; or a media type, which has a '/'
  Surface surface = Surface::Chat;       // of Body::Parameters and Form
  std::string_view required = {};
  bool streams = false;                  // as server-sent events where the body says so
};

constexpr std::string_view kWorkersAi = "Workers AI", kOpenAi = "OpenAI", kAnthropic = "Anthropic", kBinding = "Binding",
                           kServer = "Server", kPage = "Page";

const Operation kOperations[] = {
    {run_rest, "run_model", kWorkersAi, "Runs a model", Body::Native, "RestAnswer", {}, {}, true},
    {run_rest_universal, "run_any_model", kWorkersAi, "Runs the model that the body names", Body::AnyModel, "RestAnswer", {}, {}, true},
    {run_websocket, "open_websocket", kWorkersAi, "Refuses a WebSocket, which no model here takes"},
    {search_models, "search_models", kWorkersAi, "Lists models", Body::None, "RestAnswer"},
    {model_schema, "get_model_schema", kWorkersAi, "Has the schemas of a model's inputs and results", Body::None, "RestAnswer"},
    {search_tasks, "search_tasks", kWorkersAi, "Lists tasks", Body::None, "RestAnswer"},
    {search_authors, "search_authors", kWorkersAi, "Lists authors", Body::None, "RestAnswer"},
    {markdown_form, "convert_files", kWorkersAi, "Converts documents to Markdown", Body::Files, "RestAnswer"},
    {markdown_supported, "list_convertible", kWorkersAi, "Lists kinds of documents that can be converted"},
    {account_usage, "get_account_usage", kWorkersAi, "Reports what the account used", Body::None, "RestAnswer"},
    {openai_chat, "create_chat_completion", kOpenAi, "Answers a conversation", Body::Parameters, "ChatCompletion", Surface::Chat, "model messages", true},
    {openai_completions, "create_completion", kOpenAi, "Continues a text", Body::Parameters, "Completion", Surface::Completions, "model prompt", true},
    {openai_embeddings, "create_embedding", kOpenAi, "Makes vectors of texts", Body::Parameters, "EmbeddingList", Surface::Embeddings, "model input"},
    {openai_transcriptions, "create_transcription", kOpenAi, "Writes down speech", Body::Form, "Transcript", Surface::Transcriptions, "file model"},
    {openai_translations, "create_translation", kOpenAi, "Writes down speech in English", Body::Form, "Transcript", Surface::Transcriptions, "file model"},
    {openai_speech, "create_speech", kOpenAi, "Speaks a text", Body::Parameters, "application/octet-stream", Surface::Speech, "model input voice"},
    {openai_models, "list_models", kOpenAi, "Lists models that can be asked", Body::None, "ModelList"},
    {openai_model, "get_model", kOpenAi, "Has one model", Body::None, "ModelObject"},
    {create_response, "create_response", kOpenAi, "Answers with items", Body::Parameters, "ResponseObject", Surface::Responses, "model", true},
    {get_response, "get_response", kOpenAi, "Has an answer that was kept", Body::None, "ResponseObject"},
    {delete_response, "delete_response", kOpenAi, "Deletes an answer that was kept", Body::None, "Deleted"},
    {response_input_items, "list_response_input_items", kOpenAi, "Lists what a kept answer was made from", Body::None, "ItemList"},
    {count_response_tokens, "count_response_tokens", kOpenAi, "Counts the tokens of a request for an answer", Body::Parameters, "TokenCount", Surface::Responses, "model"},
    {compact_response, "compact_response", kOpenAi, "Refuses to compact a conversation", Body::Parameters, "Anything", Surface::Responses, "model"},
    {cancel_response, "cancel_response", kOpenAi, "Refuses to cancel: answers are not made in the background", Body::None, "ResponseObject"},
    {create_message, "create_message", kAnthropic, "Answers a conversation", Body::Parameters, "MessageObject", Surface::Messages, "model messages max_tokens", true},
    {count_message_tokens, "count_message_tokens", kAnthropic, "Counts the tokens of a conversation", Body::Parameters, "TokenCount", Surface::Messages, "model messages"},
    {run_binding, "run_binding", kBinding, "Runs a model for env.AI", Body::Binding, "Anything", {}, {}, true},
    {markdown, "convert_documents", kBinding, "Converts documents to Markdown for env.AI", Body::Documents},
    {status, "get_status", kServer, "Reports models, memory and Workers", Body::None, "ServerStatus"},
    {nodes, "list_nodes", kServer, "Lists nodes as this gateway measures them", Body::None, "NodeList"},
    {placement, "get_placement", kServer, "Reports where models should be", Body::None, "RestAnswer"},
    {place, "place_model", kServer, "Says where a model should be", Body::Wish, "RestAnswer"},
    {all_usage, "get_usage", kServer, "Reports what all accounts used", Body::None, "RestAnswer"},
    {metrics_text, "get_metrics", kServer, "Has Prometheus' metrics", Body::None, "text/plain"},
    {healthz, "get_health", kServer, "Answers while the process lives", Body::None, "State"},
    {readyz, "get_readiness", kServer, "Answers 200 once requests can be served", Body::None, "State"},
    {page, "get_page", kPage, "Has the page", Body::None, "text/html"},
    {page_file, "get_page_file", kPage, "Has a file of the page or the documentation", Body::None, "text/html"},
    {documentation, "get_documentation", kPage, "Leads to the documentation", Body::None, "text/html"},
    {openapi, "get_openapi", kPage, "Has this description", Body::None, "Anything"},
};

json::object reference(std::string_view name) { return {{"$ref", fmt::format("#/components/schemas/{}", name)}}; }
json::object content(std::string_view media_type, json::value schema) {
  return {{media_type, json::object{{"schema", std::move(schema)}}}};
}

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const std::string_view word = list.substr(0, list.find(' '));
    list.remove_prefix(std::min(list.size(), word.size() + 1));
    if (!word.empty()) out.emplace_back(word);
  }
  return out;
}

// "text-generation" -> "TextGeneration", "image_url" -> "ImageUrl"
std::string type_name(std::string_view task) {
  std::string out;
  bool upper = true;
  for (const char c : task) {
    if (!std::isalnum(static_cast<unsigned char>(c))) upper = true;
    else out += std::exchange(upper, false) ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
  }
  return out;
}

// Published schemas, taken apart: a branch of a union that holds more than a plain type becomes a schema with a
// name of its own, once. Readers find it by its name, and generators of clients make one type of it.
class SchemaNames {
 public:
  explicit SchemaNames(json::object& schemas) : schemas_(schemas) {}

  // A reference to `schema`, which is kept under `name`, or under the name that its equal has already.
  json::object keep(json::value schema, const std::string& name) {
    take_apart(schema, name);
    const auto [known, fresh] = names_.emplace(json_body(schema), name);
    if (!fresh) return reference(known->second);
    for (int number = 2; schemas_.contains(known->second); ++number) known->second = name + std::to_string(number);
    schemas_.emplace(known->second, std::move(schema));
    return reference(known->second);
  }

 private:
  void take_apart(json::value& value, const std::string& name) {
    json::object* schema = value.if_object();
    if (!schema) return;
    schema->erase("title");  // it is a part of the name
    for (const char* union_of : {"oneOf", "anyOf"}) {
      json::value* branches = schema->if_contains(union_of);
      if (!branches || !branches->is_array()) continue;
      const bool objects = get_string(*schema, "type") == "object";
      int number = 0;
      for (json::value& branch : branches->get_array()) {
        ++number;
        json::object* one = branch.if_object();
        if (!one) continue;
        if (objects && !one->contains("type") && one->contains("properties")) one->emplace("type", "object");
        if (!one->contains("properties") && !one->contains("items") && !one->contains("oneOf") && !one->contains("anyOf")) continue;
        const auto title = get_string(*one, "title");
        branch = keep(branch, name + (title ? type_name(*title) : fmt::format("Form{}", number)));
      }
      if (objects && !schema->contains("properties")) schema->erase("type");
    }
    if (json::value* properties = schema->if_contains("properties"); properties && properties->is_object())
      for (auto& [key, member] : properties->get_object()) take_apart(member, name + type_name(key));
    for (const char* inner : {"items", "additionalProperties"})
      if (json::value* one = schema->if_contains(inner)) take_apart(*one, name + "Item");
  }

  json::object& schemas_;
  std::map<std::string, std::string> names_;  // by the schema's text
};

struct Natives {
  json::array inputs, results;  // references
};
Natives add_native_schemas(const catalogue::Catalogue& catalogue, json::object& schemas) {
  Natives natives;
  SchemaNames names(schemas);
  const auto add = [&](const json::object& schema, const char* member, const std::string& name, json::array& list) {
    const json::value* found = schema.if_contains(member);
    if (!found) return;
    json::object one = names.keep(*found, name);
    if (std::ranges::find(list, json::value(one)) == list.end()) list.push_back(std::move(one));
  };
  for (const catalogue::Entry* entry : catalogue.all()) {
    if (!entry->id.starts_with("@cf/") && !entry->id.starts_with("@hf/")) continue;
    const json::object& schema = catalogue.schema(*entry);
    add(schema, "input", type_name(entry->task) + "Input", natives.inputs);
    add(schema, "output", type_name(entry->task) + "Result", natives.results);
  }
  return natives;
}

// A body whose parameters are those that a table meets or accepts.
json::object parameters_schema(Surface surface, std::string_view required, const json::object& types) {
  json::object properties;
  for (const Parameter& parameter : parameters(surface)) {
    if (parameter.fate == Fate::Refused) continue;
    const json::value* type = types.if_contains(parameter.name);
    properties.emplace(parameter.name, type ? *type : json::value(json::object{}));
  }
  json::array names;
  for (const std::string& name : words(required)) names.emplace_back(name);
  return {{"type", "object"}, {"required", std::move(names)}, {"properties", std::move(properties)}};
}

struct Writer {
  json::object schemas;
  json::object types;
  Natives natives;

  json::object body(const Operation& operation) const {
    const auto json_of = [&](json::value schema) { return content("application/json", std::move(schema)); };
    const json::object model{{"type", "string"}};
    switch (operation.body) {
      case Body::None: return {};
      case Body::Native: return json_of(json::object{{"anyOf", natives.inputs}});
      case Body::AnyModel:
        return json_of(json::object{{"type", "object"}, {"required", json::array{"model", "input"}},
                                    {"properties", json::object{{"model", model}, {"input", json::object{{"anyOf", natives.inputs}}}}}});
      case Body::Binding:
        return json_of(json::object{{"type", "object"}, {"required", json::array{"inputs"}},
                                    {"properties", json::object{{"inputs", json::object{{"type", "object"}}}, {"options", json::object{{"type", "object"}}}}}});
      case Body::Parameters: return json_of(parameters_schema(operation.surface, operation.required, types));
      case Body::Form: return content("multipart/form-data", parameters_schema(operation.surface, operation.required, types));
      case Body::Files: {
        const json::object file{{"type", "string"}, {"format", "binary"}};
        return content("multipart/form-data", json::object{{"type", "object"}, {"required", json::array{"files"}},
                                                           {"properties", json::object{{"files", json::object{{"type", "array"}, {"items", file}}}}}});
      }
      case Body::Documents:
        return json_of(json::object{{"type", "object"}, {"required", json::array{"files"}},
                                    {"properties", json::object{{"files", json::object{{"type", "array"}, {"items", json::object{{"type", "object"}}}}}}}});
      case Body::Wish: return json_of(json::object{{"type", "object"}});
    }
    return {};
  }

  // Native results stand in the envelope of REST.
  json::value answer_schema(const Operation& operation) const {
    if (operation.body != Body::Native && operation.body != Body::AnyModel) return reference(operation.answer);
    json::object result{{"type", "object"}, {"properties", json::object{{"result", json::object{{"anyOf", natives.results}}}}}};
    return json::object{{"allOf", json::array{reference(operation.answer), std::move(result)}}};
  }

  json::object answers(const Operation& operation, const Route& route) const {
    json::object ok{{"description", "It worked."}};
    json::object media = operation.answer.find('/') != operation.answer.npos
                             ? content(operation.answer, operation.answer == "application/octet-stream"
                                                             ? json::object{{"type", "string"}, {"format", "binary"}}
                                                             : json::object{{"type", "string"}})
                             : content("application/json", answer_schema(operation));
    if (operation.streams) media.emplace("text/event-stream", json::object{{"schema", json::object{{"type", "string"}}}});
    ok.emplace("content", std::move(media));
    const std::string_view error = route.shape == Shape::OpenAi      ? "OpenAiError"
                                   : route.shape == Shape::Anthropic ? "AnthropicError"
                                   : route.shape == Shape::Binding   ? "BindingError"
                                                                     : "RestAnswer";
    json::object wrong{{"description", "It did not work; the body says why."}, {"content", content("application/json", reference(error))}};
    return {{"200", std::move(ok)}, {"default", std::move(wrong)}};
  }
};

// "/ai/run/{model...}" -> "/ai/run/{model}", and the parameters of the path on the way.
std::string plain_pattern(std::string_view pattern, json::array& list) {
  std::string out;
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] != '{') {
      out += pattern[at];
      continue;
    }
    const size_t end = pattern.find('}', at);
    std::string_view name = pattern.substr(at + 1, end - at - 1);
    json::object parameter;
    if (name.ends_with("...")) {
      name.remove_suffix(3);
      parameter.emplace("description", "May have slashes, plain or percent-encoded.");
    }
    parameter.emplace("name", name);
    parameter.emplace("in", "path");
    parameter.emplace("required", true);
    parameter.emplace("schema", json::object{{"type", "string"}});
    list.push_back(std::move(parameter));
    out += fmt::format("{{{}}}", name);
    at = end;
  }
  return out;
}

void add_query(const Route& route, json::array& list) {
  if (route.query == kEndpointReadsQuery) return;
  static const std::set<std::string, std::less<>> numbers{"page", "per_page", "limit", "starting_after"};
  for (const std::string& name : words(route.query))
    list.push_back(json::object{{"name", name}, {"in", "query"}, {"schema", json::object{{"type", numbers.contains(name) ? "integer" : "string"}}}});
}

// One endpoint may have several routes, and each route has an id of its own.
std::string operation_id(const Operation& operation, std::string_view path, std::set<std::string>& taken) {
  std::string id(operation.id);
  const bool also_plain = operation.tag == kOpenAi || operation.tag == kAnthropic;
  if (also_plain && path.starts_with("/client/")) id = "account_" + id;
  else if (path.starts_with("/ai-gateway/") || path.starts_with("/ai-api/") || path.starts_with("/to-everything/")) id = "binding_" + id;
  else if (path.starts_with("/verge/docs/")) id = "get_documentation_page";
  else if (taken.contains(id)) id = "verge_" + id;
  taken.insert(id);
  return id;
}

}  // namespace

json::object openapi_document(const catalogue::Catalogue& catalogue) {
  Writer writer;
  writer.schemas = json::parse(kAnswerSchemas).get_object();
  writer.types = json::parse(kParameterTypes).get_object();
  writer.natives = add_native_schemas(catalogue, writer.schemas);
  json::object paths;
  std::set<std::string> ids;
  for (const Route& route : routes()) {
    const auto found = std::ranges::find(kOperations, route.run, &Operation::run);
    if (found == std::end(kOperations)) continue;  // tests/api/openapi_test.cpp fails then
    json::array parameters;
    const std::string path = plain_pattern(route.pattern, parameters);
    add_query(route, parameters);
    json::object operation{{"operationId", operation_id(*found, path, ids)}, {"tags", json::array{found->tag}}, {"summary", found->summary}};
    // In words: generators of clients stumble over a body of two kinds.
    if (found->body == Body::Native)
      operation.emplace("description", "Models of pictures and sound take the bytes of a file as the body, too, under any other content type.");
    if (!parameters.empty()) operation.emplace("parameters", std::move(parameters));
    if (json::object body = writer.body(*found); !body.empty())
      operation.emplace("requestBody", json::object{{"required", true}, {"content", std::move(body)}});
    operation.emplace("responses", writer.answers(*found, route));
    // Before the first token is made, none is needed.
    json::array needs;
    if (route.access != Access::Open) needs = {json::object(), json::object{{"bearer", json::array()}}};
    operation.emplace("security", std::move(needs));
    std::string method(route.method);
    std::ranges::transform(method, method.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    json::value& item = paths[path];
    if (!item.is_object()) item.emplace_object();
    item.get_object().emplace(method, std::move(operation));
  }
  return {{"openapi", "3.1.0"},
          {"info", json::object{{"title", "Verge"}, {"version", version()},
                                {"description", "The open, self-hosted Workers AI: its REST API, the wire of env.AI, and OpenAI's and Anthropic's APIs."},
                                {"license", json::object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
          {"servers", json::array{json::object{{"url", "/"}, {"description", "The server that this comes from"}}}},
          {"tags", [] {
             json::array tags;
             for (std::string_view tag : {kWorkersAi, kOpenAi, kAnthropic, kBinding, kServer, kPage}) tags.push_back(json::object{{"name", tag}});
             return tags;
           }()},
          {"paths", std::move(paths)},
          {"components", json::object{{"schemas", std::move(writer.schemas)},
                                      {"securitySchemes", json::object{{"bearer", json::object{{"type", "http"}, {"scheme", "bearer"},
                                          {"description", "A token of `verge token create`; needed once one was made."}}}}}}}};
}

}  // namespace verge::api
