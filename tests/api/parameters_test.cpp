// Walks over every parameter of every route: what is met is read, what is refused is named, what is accepted changes
// nothing, and docs/api.md says the same. A parameter that is dropped in silence fails here.
#include "api/tasks/parameters.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "api/routes.h"
#include "tests/api/server.h"
#include "tests/paths.h"

namespace verge::api::testing {
namespace {

const char* const kNative = "/client/v4/accounts/a/ai/run/";

struct Route {
  Surface surface;
  std::string label;  // in docs/api.md
  std::string target;
  const char* body;
};
const Route kRoutes[] = {
    {Surface::NativeText, "Native", std::string(kNative) + "@cf/meta/llama-3.2-1b-instruct", R"({"prompt":"x"})"},
    {Surface::Chat, "Chat", "/v1/chat/completions",
     R"({"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{"role":"user","content":"x"}]})"},
    {Surface::Completions, "Completions", "/v1/completions", R"({"model":"@cf/meta/llama-3.2-1b-instruct","prompt":"x"})"},
    {Surface::Responses, "`/v1/responses`", "/v1/responses", R"({"model":"@cf/meta/llama-3.2-1b-instruct","input":"x"})"},
    {Surface::Messages, "`/v1/messages`", "/v1/messages",
     R"({"model":"@cf/meta/llama-3.2-1b-instruct","max_tokens":9,"messages":[{"role":"user","content":"x"}]})"},
    {Surface::NativeEmbeddings, "Native embeddings", std::string(kNative) + "@cf/baai/bge-small-en-v1.5", R"({"text":"x"})"},
    {Surface::NativeClassification, "Native classes, reranking", std::string(kNative) + "@cf/huggingface/distilbert-sst-2-int8",
     R"({"text":"x"})"},
    {Surface::Embeddings, "`/v1/embeddings`", "/v1/embeddings", R"({"model":"@cf/baai/bge-small-en-v1.5","input":"x"})"},
    {Surface::NativeSpeech, "Native speech", std::string(kNative) + "@cf/openai/whisper", R"({"audio":"UklGRg=="})"},
    {Surface::NativeSpeaking, "Native voices", std::string(kNative) + "@cf/deepgram/aura-1", R"({"text":"x"})"},
    {Surface::Speech, "`/v1/audio/speech`", "/v1/audio/speech", R"({"model":"@cf/deepgram/aura-1","input":"x","voice":"alloy"})"},
    {Surface::NativePictures, "Native pictures", std::string(kNative) + "@cf/microsoft/resnet-50", R"({"image":[137,80]})"},
    {Surface::RunOptions, "`options`", std::string(kNative) + "@cf/meta/llama-3.2-1b-instruct", R"({"prompt":"x"})"},
    {Surface::Transcriptions, "`/v1/audio/…`", "/v1/audio/transcriptions", ""},
};

// A value that no parameter takes, and the few whose type has it.
json::value wrong_value(std::string_view name) {
  if (name == "audio" || name == "image") return 7;
  return json::array{json::object{{"x", 1}}};
}

class ParametersTest : public ApiTest {
 protected:
  Answer send(const Route& route, std::string_view name, const json::value& value) {
    const http::Headers json_type{{"content-type", "application/json"}};
    if (route.surface == Surface::Transcriptions) return send_form(route, name, value);
    json::object body = json::parse(route.body).get_object();
    if (name.empty()) return post(route.target, json::serialize(body), json_type);
    if (route.surface == Surface::RunOptions) body["options"] = json::object{{name, value}};
    else body[name] = value;
    return post(route.target, json::serialize(body), json_type);
  }
  Answer send_form(const Route& route, std::string_view name, const json::value& value) {
    std::map<std::string, std::string, std::less<>> fields{{"model", "@cf/openai/whisper"}};
    if (!name.empty()) fields[std::string(name)] = value.is_null() ? "" : value.is_string() ? std::string(value.get_string()) : "zzz!";
    std::string body;
    for (const auto& [field, text] : fields) body += fmt::format("--b\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n", field, text);
    body += "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n";
    return post(route.target, body, {{"content-type", "multipart/form-data; boundary=b"}});
  }
  json::object params() { return service_.requests().back().params; }
};

TEST_F(ParametersTest, WhatIsMetIsRead) {
  const std::set<std::string_view> texts{"prompt", "initial_prompt", "prefix"};  // any text is right in a form
  for (const Route& route : kRoutes) {
    for (const Parameter& one : parameters(route.surface)) {
      if (one.fate != Fate::Met || one.name == "file") continue;  // the clip itself
      if (route.surface == Surface::Transcriptions && texts.contains(one.name)) {
        EXPECT_EQ(send(route, one.name, "zzz!").status, 200) << one.name;
        EXPECT_NE(json::serialize(params()).find("zzz!"), std::string::npos) << one.name;
        continue;
      }
      const Answer answer = send(route, one.name, wrong_value(one.name));
      const bool unknown_model = one.name == "model" && answer.status == 404;
      EXPECT_TRUE(answer.status == 400 || unknown_model) << route.label << ": " << one.name << " was not looked at";
      EXPECT_NE(answer.body.find(one.name), std::string::npos) << route.label << ": " << one.name << ": " << answer.body;
    }
  }
}

TEST_F(ParametersTest, WhatIsRefusedIsNamedAndWhereItAsksForNothingTaken) {
  for (const Route& route : kRoutes) {
    for (const Parameter& one : parameters(route.surface)) {
      if (one.fate != Fate::Refused) continue;
      const Answer answer = send(route, one.name, wrong_value(one.name));
      EXPECT_TRUE(answer.status == 400 || answer.status == 405) << route.label << ": " << one.name << " was dropped";
      EXPECT_NE(answer.body.find(one.name), std::string::npos) << answer.body;
      EXPECT_EQ(send(route, one.name, nullptr).status, 200) << route.label << ": " << one.name << " null";
    }
  }
}

TEST_F(ParametersTest, WhatIsAcceptedChangesNothing) {
  for (const Route& route : kRoutes) {
    const json::value anything = json::object{{"x", "y"}};
    for (const Parameter& one : parameters(route.surface)) {
      if (one.fate != Fate::Accepted) continue;
      ASSERT_EQ(send(route, "", nullptr).status, 200) << route.label;
      const json::object before = params();
      Answer answer = send(route, one.name, anything);
      // Of a type that is not its own; the message names it.
      if (answer.status == 400) {
        EXPECT_NE(answer.body.find("'/" + std::string(one.name) + "'"), std::string::npos) << answer.body;
        answer = send(route, one.name, one.name == "max_tool_calls" ? json::value(3) : json::value("x"));
      }
      EXPECT_EQ(answer.status, 200) << route.label << ": " << one.name << answer.body;
      EXPECT_EQ(answer.header("verge-ignored"), "") << one.name;
      EXPECT_EQ(params(), before) << route.label << ": " << one.name;
    }
  }
}

TEST_F(ParametersTest, WhatIsUnknownIsSaidToBeIgnored) {
  for (const Route& route : kRoutes) {
    const Answer answer = send(route, "temprature", 0);
    EXPECT_EQ(answer.status, 200) << route.label;
    EXPECT_EQ(answer.header("verge-ignored"), route.surface == Surface::RunOptions ? "options.temprature" : "temprature") << route.label;
    EXPECT_EQ(send(route, "", nullptr).header("verge-ignored"), "") << route.label;
  }
  json::object many{{"prompt", "x"}, {"a\r\nX-Y: 1", 1}};
  for (int i = 0; i < 100; ++i) many["n" + std::to_string(i)] = i;
  const Answer answer = run(json::serialize(many));
  EXPECT_TRUE(answer.header("verge-ignored").starts_with("a??X-Y:?1, n0, n1, ")) << answer.head;
  EXPECT_TRUE(answer.header("verge-ignored").ends_with("n14, ...")) << answer.head;
}

TEST_F(ParametersTest, EveryPublishedParameterHasARow) {
  const std::map<std::string, Surface> surfaces{{"text-generation", Surface::NativeText}, {"text-embeddings", Surface::NativeEmbeddings},
                                                {"text-classification", Surface::NativeClassification},
                                                {"automatic-speech-recognition", Surface::NativeSpeech},
                                                {"text-to-speech", Surface::NativeSpeaking}, {"image-classification", Surface::NativePictures}, {"object-detection", Surface::NativePictures}};
  const auto known = [](Surface surface, std::string_view name) {
    const auto list = parameters(surface);
    return std::ranges::any_of(list, [&](const Parameter& one) { return one.name == name; });
  };
  std::function<void(const json::value&, std::set<std::string>&)> collect = [&](const json::value& schema, std::set<std::string>& names) {
    const json::object* object = schema.if_object();
    if (!object) return;
    if (const json::object* properties = get_object(*object, "properties"))
      for (const auto& [key, value] : *properties) names.insert(std::string(key));
    for (const char* many : {"oneOf", "anyOf", "allOf"})
      if (const json::array* list = get_array(*object, many))
        for (const json::value& one : *list) collect(one, names);
  };
  for (const catalogue::Entry* entry : catalogue_.all()) {
    const auto surface = surfaces.find(entry->task);
    if (surface == surfaces.end()) continue;
    std::set<std::string> names;
    if (const json::value* input = catalogue_.schema(*entry).if_contains("input")) collect(*input, names);
    for (const std::string& name : names) EXPECT_TRUE(known(surface->second, name)) << entry->id << ": " << name;
  }
  const std::pair<Surface, std::vector<const char*>> published[] = {
      {Surface::Chat, {"messages", "model", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
                       "max_tokens", "metadata", "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
                       "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store",
                       "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options"}},
      {Surface::Completions, {"model", "prompt", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n", "presence_penalty",
                              "seed", "stop", "stream", "stream_options", "suffix", "temperature", "top_p", "user"}},
      {Surface::Responses, {"background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata",
                            "model", "parallel_tool_calls", "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning",
                            "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools",
                            "top_logprobs", "top_p", "truncation", "user"}},
      {Surface::Messages, {"model", "messages", "max_tokens", "system", "stop_sequences", "stream", "temperature", "top_k", "top_p", "tools", "tool_choice", "thinking",
                           "output_config", "output_format", "metadata", "cache_control", "container", "mcp_servers", "context_management", "inference_geo", "speed",
                           "service_tier", "thread", "compaction"}},
      {Surface::Speech, {"input", "model", "voice", "instructions", "response_format", "speed", "stream_format"}},
      {Surface::Embeddings, {"input", "model", "dimensions", "encoding_format", "user"}},
      {Surface::Transcriptions, {"file", "model", "chunking_strategy", "include", "known_speaker_names", "known_speaker_references", "language", "prompt",
                                 "response_format", "stream", "temperature", "timestamp_granularities"}}};
  for (const auto& [surface, names] : published)
    for (const char* name : names) EXPECT_TRUE(known(surface, name)) << name;
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    const size_t first = cell.find_first_not_of(' ');
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, cell.find_last_not_of(' ') + 1 - first));
  }
  return cells;
}

// The names in backticks.
std::vector<std::string> names_of(const std::string& cell) {
  std::vector<std::string> names;
  for (size_t at = 0; (at = cell.find('`', at)) != std::string::npos;) {
    const size_t end = cell.find('`', at + 1);
    if (end == std::string::npos) break;
    names.push_back(cell.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return names;
}

// Tables of the section "Every parameter": column -> name -> fate.
std::map<std::string, std::map<std::string, std::string>> documented() {
  std::ifstream file(std::filesystem::path(source_folder()) / "docs/api.md");
  std::map<std::string, std::map<std::string, std::string>> out;
  std::vector<std::string> heads;
  bool here = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) here = line == "## Every parameter";
    if (!here || !line.starts_with("|") || line.starts_with("|---")) continue;
    const auto cells = cells_of(line);
    if (cells.front() == "Parameter" || cells.front() == "Route") {
      heads = cells;
      continue;
    }
    for (const std::string& name : names_of(cells.front()))
      for (size_t i = 1; i < cells.size() && i < heads.size(); ++i) out[heads[i]][name] = cells[i];
  }
  return out;
}

TEST_F(ParametersTest, TheDocumentSaysTheSame) {
  const auto tables = documented();
  for (const Route& route : kRoutes) {
    ASSERT_TRUE(tables.contains(route.label)) << "docs/api.md has no column " << route.label;
    std::map<std::string, std::string> said = tables.at(route.label);
    std::erase_if(said, [](const auto& cell) { return cell.second == "ignored"; });
    std::map<std::string, std::string> done;
    for (const Parameter& one : parameters(route.surface))
      done[std::string(one.name)] = one.fate == Fate::Met ? "met" : one.fate == Fate::Refused ? "refused" : "accepted";
    EXPECT_EQ(said, done) << route.label;
  }
}

TEST_F(ParametersTest, QueriesAreTheDocumentedOnesAndOthersAreSaidToBeIgnored) {
  const auto tables = documented();
  ASSERT_TRUE(tables.contains("Query"));
  std::map<std::string, std::set<std::string>> said;
  for (const auto& [pattern, cell] : tables.at("Query"))
    for (const std::string& name : names_of(cell)) said[pattern].insert(name);
  for (const api::Route& route : routes()) {
    if (route.query.empty() || route.query == kEndpointReadsQuery) continue;
    std::set<std::string> names;
    std::istringstream in{std::string(route.query)};
    for (std::string name; in >> name;) names.insert(name);
    EXPECT_EQ(said[std::string(route.pattern)], names) << route.pattern;
  }
  EXPECT_EQ(get("/v1/models?limit=3&include=unavailable").header("verge-ignored"), "limit");
  EXPECT_EQ(get("/client/v4/accounts/a/ai/models/search?pgae=2&page=1").header("verge-ignored"), "pgae");
  EXPECT_EQ(get("/client/v4/accounts/a/ai/models/search?page=1&hide_experimental=on").header("verge-ignored"), "");
  EXPECT_EQ(get("/client/v4/accounts/a/ai/models/search?hide_experimental=perhaps").status, 400);
  EXPECT_EQ(get("/v1/models?include=everything").status, 400);
  EXPECT_EQ(post("/v1/chat/completions?api-version=1", kRoutes[1].body).header("verge-ignored"), "api-version");
  EXPECT_EQ(post(rest() + "?top_k=3", R"({"prompt":"x"})").header("verge-ignored"), "top_k");
}

}  // namespace
}  // namespace verge::api::testing
