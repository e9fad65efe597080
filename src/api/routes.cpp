#include "api/routes.h"

#include <algorithm>

#include "api/endpoints/endpoints.h"
#include "support/limits.h"

namespace verge::api {
namespace {

constexpr size_t kNone = 0, kText = limits::kTextBodyBytes, kMedia = limits::kBodyBytes;

constexpr std::string_view kSearchQuery = "author search task source page per_page hide_experimental include_deprecated format available";
constexpr std::string_view kBindingQuery = "version userInputs rejectIfBusy queueRequest";

#define VERGE_OPENAI_ROUTES(prefix)                                                                 \
  {"POST", prefix "/chat/completions", openai_chat, Shape::OpenAi, Access::Run, kText},       \
      {"POST", prefix "/completions", openai_completions, Shape::OpenAi, Access::Run, kText}, \
      {"POST", prefix "/audio/transcriptions", openai_transcriptions, Shape::OpenAi, Access::Run, kMedia}, \
      {"POST", prefix "/audio/translations", openai_translations, Shape::OpenAi, Access::Run, kMedia},     \
      {"POST", prefix "/audio/speech", openai_speech, Shape::OpenAi, Access::Run, kText},                  \
      {"GET", prefix "/models", openai_models, Shape::OpenAi, Access::Read, kNone, "include"},            \
      {"GET", prefix "/models/{model...}", openai_model, Shape::OpenAi, Access::Read, kNone, "include"},  \
      {"POST", prefix "/responses", create_response, Shape::OpenAi, Access::Run, kText},                  \
      {"POST", prefix "/responses/input_tokens", count_response_tokens, Shape::OpenAi, Access::Run, kText}, \
      {"POST", prefix "/responses/compact", compact_response, Shape::OpenAi, Access::Run, kText},          \
      {"GET", prefix "/responses/{id}", get_response, Shape::OpenAi, Access::Run, kNone, "include stream starting_after include_obfuscation"}, \
      {"DELETE", prefix "/responses/{id}", delete_response, Shape::OpenAi, Access::Run, kNone},           \
      {"GET", prefix "/responses/{id}/input_items", response_input_items, Shape::OpenAi, Access::Run, kNone, "after include limit order"}, \
      {"POST", prefix "/responses/{id}/cancel", cancel_response, Shape::OpenAi, Access::Run, kText},      \
      {"POST", prefix "/messages", create_message, Shape::Anthropic, Access::Run, kText, "beta"},         \
      {"POST", prefix "/messages/count_tokens", count_message_tokens, Shape::Anthropic, Access::Run, kText, "beta"}, \
      {"POST", prefix "/embeddings", openai_embeddings, Shape::OpenAi, Access::Run, kText}

constexpr Route kRoutes[] = {
    {"POST", "/client/v4/accounts/{account}/ai/run", run_rest_universal, Shape::Rest, Access::Run, kMedia, "queueRequest"},
    {"POST", "/client/v4/accounts/{account}/ai/run/{model...}", run_rest, Shape::Rest, Access::Run, kMedia, kEndpointReadsQuery},
    {"GET", "/client/v4/accounts/{account}/ai/run/{model...}", run_websocket, Shape::Rest, Access::Run, kNone},
    {"GET", "/client/v4/accounts/{account}/ai/models/search", search_models, Shape::Rest, Access::Read, kNone, kSearchQuery},
    {"GET", "/client/v4/accounts/{account}/ai/models/schema", model_schema, Shape::Rest, Access::Read, kNone, "model"},
    {"GET", "/client/v4/accounts/{account}/ai/tasks/search", search_tasks, Shape::Rest, Access::Read, kNone},
    {"GET", "/client/v4/accounts/{account}/ai/authors/search", search_authors, Shape::Rest, Access::Read, kNone},
    {"POST", "/client/v4/accounts/{account}/ai/tomarkdown", markdown_form, Shape::Rest, Access::Run, kMedia},
    {"GET", "/client/v4/accounts/{account}/ai/tomarkdown/supported", markdown_supported, Shape::Rest, Access::Read, kNone},
    {"GET", "/client/v4/accounts/{account}/ai/usage", account_usage, Shape::Rest, Access::Read, kNone, "from to by"},
    VERGE_OPENAI_ROUTES("/client/v4/accounts/{account}/ai/v1"),
    VERGE_OPENAI_ROUTES("/v1"),
    {"POST", "/run", run_binding, Shape::Binding, Access::Run, kMedia, kBindingQuery},
    {"GET", "/run", run_websocket, Shape::Binding, Access::Run, kNone},
    {"POST", "/ai-gateway/run", run_binding, Shape::Binding, Access::Run, kMedia, kBindingQuery},
    {"GET", "/ai-api/models/search", search_models, Shape::Binding, Access::Read, kNone, kSearchQuery},
    {"POST", "/to-everything/markdown/transformer", markdown, Shape::Binding, Access::Run, kMedia},
    {"GET", "/to-everything/markdown/supported", markdown_supported, Shape::Binding, Access::Read, kNone},
    {"GET", "/verge/v1/status", status, Shape::Rest, Access::Admin, kNone},
    {"GET", "/verge/v1/placement", placement, Shape::Rest, Access::Admin, kNone},
    {"PUT", "/verge/v1/placement/{model...}", place, Shape::Rest, Access::Admin, limits::kTextBodyBytes},
    {"GET", "/verge/v1/nodes", nodes, Shape::Rest, Access::Admin, kNone},
    {"GET", "/verge/v1/usage", all_usage, Shape::Rest, Access::Admin, kNone, "from to by account"},
    {"GET", "/", page, Shape::Rest, Access::Open, kNone, {}, true},
    {"GET", "/openapi.json", openapi, Shape::Rest, Access::Open, kNone, {}, true},
    {"GET", "/verge/openapi.json", openapi, Shape::Rest, Access::Open, kNone},
    {"GET", "/verge", page, Shape::Rest, Access::Open, kNone},
    {"GET", "/verge/page/{file...}", page_file, Shape::Rest, Access::Open, kNone},
    {"GET", "/verge/docs", documentation, Shape::Rest, Access::Open, kNone},
    {"GET", "/verge/docs/{file...}", page_file, Shape::Rest, Access::Open, kNone},
    {"GET", "/metrics", metrics_text, Shape::Rest, Access::Metrics, kNone},
    {"GET", "/healthz", healthz, Shape::Rest, Access::Open, kNone},
    {"GET", "/readyz", readyz, Shape::Rest, Access::Open, kNone, "verbose"},
};

// Cuts the next segment off the front of `path`.
std::string_view take_segment(std::string_view& path) {
  size_t end = path.find('/');
  std::string_view segment = path.substr(0, end);
  path = end == path.npos ? std::string_view() : path.substr(end + 1);
  return segment;
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

std::vector<std::string> query_names(std::string_view query) {
  std::vector<std::string> names;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::string_view raw = pair.substr(0, pair.find('='));
    std::string name = http::percent_decode(raw, true).value_or(std::string(raw));
    if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

bool match_pattern(std::string_view pattern, std::string_view path, std::map<std::string, std::string, std::less<>>* values) {
  if (path.empty() || path.front() != '/') return false;
  path.remove_prefix(1);
  pattern.remove_prefix(1);
  bool more = !path.empty();  // a path may still have an empty last segment
  while (!pattern.empty()) {
    std::string_view wanted = take_segment(pattern);
    if (wanted.ends_with("...}")) {
      if (path.empty()) return false;
      if (values) values->emplace(wanted.substr(1, wanted.size() - 5), path);
      return true;
    }
    if (!more) return false;
    more = path.find('/') != path.npos;
    std::string_view segment = take_segment(path);
    if (wanted.starts_with('{')) {
      if (segment.empty()) return false;
      if (values) values->emplace(wanted.substr(1, wanted.size() - 2), segment);
    } else if (segment != wanted) {
      return false;
    }
  }
  return !more;
}

std::string plain_path(std::string_view path) {
  std::string plain;
  for (const char c : path)
    if (c != '/' || !plain.ends_with('/')) plain += c;
  if (plain.size() > 1 && plain.ends_with('/')) plain.pop_back();
  return plain;
}

Match match_route(std::string_view method, std::string_view sent_path) {
  const std::string path = plain_path(sent_path);
  Match match;
  std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : kRoutes) {
    std::map<std::string, std::string, std::less<>> values;
    if (!match_pattern(route.pattern, path, &values)) continue;
    match.yields = route.yields;
    if (route.method == wanted) {
      match.route = &route;
      match.path = std::move(values);
      return match;
    }
    if (match.allowed.find(route.method) == std::string::npos)
      match.allowed += (match.allowed.empty() ? "" : ", ") + std::string(route.method);
  }
  return match;
}

Shape shape_of_path(std::string_view path) {
  if (path.find("/v1/messages") != path.npos) return Shape::Anthropic;
  if (path.starts_with("/v1/") || path.find("/ai/v1/") != path.npos) return Shape::OpenAi;
  if (path.starts_with("/run") || path.starts_with("/ai-") || path.starts_with("/to-everything")) return Shape::Binding;
  return Shape::Rest;
}

}  // namespace verge::api
