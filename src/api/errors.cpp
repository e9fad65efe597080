#include "api/errors.h"

#include <algorithm>

#include "accounts/quota.h"
#include "api/utf8.h"
#include "http/content_coding.h"
#include "support/shortage.h"
#include "support/utf8.h"

namespace verge::api {
namespace {

struct Row {
  Code code;
  int status;
  int published;
  const char* type;         // OpenAI
  const char* openai_code;  // OpenAI
  const char* prefix;       // of REST's message
};

// The published table (developers.cloudflare.com/workers-ai/platform/errors) and what the live service
// was seen to send beside it. 5xx codes are Verge's own: the service publishes none.
constexpr Row kRows[] = {
    {Code::InvalidInput, 400, 5006, "invalid_request_error", "", "AiError: "},
    {Code::UnsupportedParameter, 400, 5006, "invalid_request_error", "unsupported_parameter", "AiError: "},
    {Code::NoSuchModel, 400, 5007, "invalid_request_error", "model_not_found", "AiError: "},
    {Code::ModelUnavailable, 404, 3042, "invalid_request_error", "model_not_available", "AiError: "},
    {Code::ContextOverflow, 413, 5021, "invalid_request_error", "context_length_exceeded", "AiError: "},
    {Code::TooLarge, 413, 3006, "invalid_request_error", "request_too_large", "AiError: "},
    {Code::Unauthenticated, 401, 10000, "invalid_request_error", "invalid_api_key", ""},
    {Code::Forbidden, 403, 10000, "invalid_request_error", "permission_denied", ""},
    {Code::NotFound, 404, 7003, "invalid_request_error", "unknown_url", ""},
    {Code::MethodNotAllowed, 405, 10405, "invalid_request_error", "method_not_allowed", ""},
    {Code::Busy, 429, 3040, "rate_limit_error", "capacity_exceeded", "AiError: "},
    // No number is published for it: this is the one of 429 that clients know to retry.
    {Code::RateLimited, 429, 3040, "rate_limit_error", "rate_limit_exceeded", "AiError: "},
    {Code::QuotaUsed, 429, 3036, "insufficient_quota", "insufficient_quota", "AiError: "},
    {Code::Timeout, 408, 3046, "timeout_error", "timeout", "AiError: "},
    {Code::Aborted, 408, 3008, "timeout_error", "aborted", "AiError: "},
    {Code::LoadFailed, 500, 5001, "server_error", "model_load_failed", "AiError: "},
    {Code::WorkerGone, 503, 5001, "server_error", "worker_lost", "AiError: "},
    {Code::Io, 500, 5001, "server_error", "", "AiError: "},
    {Code::Internal, 500, 5001, "server_error", "", "AiError: "},
};

const Row& row_of(Code code) {
  for (const Row& row : kRows)
    if (row.code == code) return row;
  return kRows[std::size(kRows) - 1];
}

// The published sentence, but for its second half: there is no plan of Cloudflare's to upgrade to.
constexpr std::string_view kQuotaMessage =
    "You have used up your daily free allocation of {neurons} neurons. It is renewed at 00:00 UTC.";

std::string quota_message(std::string_view text, int64_t micro) {
  constexpr std::string_view kPlace = "{neurons}";
  std::string out(text.empty() ? kQuotaMessage : text);
  const std::string neurons = neurons_text(micro > 0 ? micro : accounts::kFreeNeurons * accounts::kMicro, true);
  for (size_t at = out.find(kPlace); at != out.npos; at = out.find(kPlace, at + neurons.size()))
    out.replace(at, kPlace.size(), neurons);
  return out;
}

// What a client named, for a sentence: without control characters, and not longer than `bytes`, cut between characters.
std::string shown(std::string_view text, size_t bytes) {
  if (text.size() > bytes) {
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
    text = text.substr(0, bytes);
  }
  std::string out = lossy_utf8(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

// "/messages/0/role" -> "messages.0.role"
std::string param_of(std::string_view pointer) {
  if (pointer.starts_with('/')) pointer.remove_prefix(1);
  std::string name(pointer);
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

// OpenAI's words about what is not kept.
constexpr std::string_view kNoPrevious = "Previous response with id ", kNoResponse = "Response with id ", kNoItem = "Item with id ";
constexpr std::string_view kNotKept = "it was not stored, was deleted or is too old, or another gateway answered it";

// Anthropic's type of an HTTP status.
std::string_view anthropic_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "api_error";
  }
}

constexpr std::string_view kJsonModeUnmet = "JSON Mode couldn't be met";  // published in these words, without a prefix

std::string describe(const Error& error) {
  if (error.message == kJsonModeUnmet) return error.message;
  switch (error.code) {
    case Code::InvalidInput:
    case Code::UnsupportedParameter: return "Bad input: Error: " + error.message;
    case Code::ContextOverflow:
      return fmt::format("The estimated number of input and maximum output tokens ({}) exceeded this model context window limit ({}).",
                         error.requested, error.limit);
    case Code::TooLarge:
      if (error.limit > 0) return fmt::format("Request is too large (limit {} bytes)", error.limit);
      return error.message.empty() ? "Request is too large" : "Request is too large: " + error.message;  // a limit of another unit
    // More is said only to who shows that the token was once good.
    case Code::Unauthenticated: return error.message.starts_with("Authentication error") ? error.message : "Authentication error";
    case Code::Busy: return "Capacity temporarily exceeded, please try again.";
    case Code::Timeout: return "Request timeout";
    case Code::Aborted: return "Request was aborted";
    case Code::Io:
    case Code::Internal: return "Internal server error";  // the cause is in the log, not for clients
    default: return error.message;
  }
}

}  // namespace

std::string neurons_text(int64_t micro, bool separators) {
  std::string text = std::to_string(micro / accounts::kMicro);
  if (separators)
    for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  std::string fraction = fmt::format("{:06}", micro % accounts::kMicro);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return fraction.empty() ? text : text + "." + fraction;
}

Published publish(const Error& error, Shape shape, std::string_view request_id, std::string_view quota_text) {
  const Row& row = row_of(error.code);
  Published out;
  out.status = row.status;
  out.code = row.published;
  // Parts of it are a client's bytes.
  out.description = lossy_utf8(error.code == Code::QuotaUsed ? quota_message(quota_text, error.limit) : describe(error));
  out.type = row.type;
  out.openai_code = row.openai_code;
  if (error.code == Code::InvalidInput || error.code == Code::UnsupportedParameter) out.param = param_of(error.pointer);
  if (error.code == Code::NoSuchModel) {
    out.param = "model";
    if (shape == Shape::OpenAi || shape == Shape::Anthropic) out.status = 404;  // theirs: their SDKs raise NotFoundError
  }
  // Published for itself: no model here takes adapters.
  if (error.code == Code::UnsupportedParameter && out.param == "lora") {
    out.status = 405;
    out.code = 5005;
    out.description = error.message;
  }
  // Not the model's fault: the machine is short of something.
  if (is_shortage(error)) {
    out.status = 503;
    out.openai_code = "insufficient_resources";
  }
  // About the message, not about what is in it (RFC 9110, 15.5.16).
  if (error.code == Code::UnsupportedParameter && (out.param == "content-encoding" || out.param == "content-type")) out.status = 415;
  // The API's edge answers for what lies under it, other paths are plainly not there.
  if (error.code == Code::NotFound && error.message == "No route for that URI") {
    if (shape != Shape::Anthropic) out.status = 400;  // theirs: a 404 is not_found_error
    out.code = 7000;
  }
  if (error.code == Code::NotFound && error.message.starts_with(kNoPrevious)) {
    out.status = 400;
    out.param = "previous_response_id";
    out.openai_code = "previous_response_not_found";
  } else if (error.code == Code::NotFound && (error.message.starts_with(kNoResponse) || error.message.starts_with(kNoItem))) {
    out.openai_code.clear();
    if (error.message.starts_with(kNoItem)) out.param = "input";
  }
  out.message = row.prefix + out.description;
  if (*row.prefix && !request_id.empty()) out.message += fmt::format(" ({})", request_id);
  return out;
}

json::object error_body(const Published& error, Shape shape, std::string_view request_id) {
  json::array errors{json::object{{"code", error.code}, {"message", error.message}}};
  switch (shape) {
    case Shape::Rest: {
      // An edge error has no result at all, a model's error an empty one: as seen.
      json::value result = error.code >= 7000 ? json::value(nullptr) : json::value(json::object());
      return {{"result", std::move(result)}, {"success", false}, {"errors", std::move(errors)}, {"messages", json::array()}};
    }
    case Shape::Binding:
      return {{"internalCode", error.code},       {"name", "AiError"},
              {"description", error.description}, {"message", "AiError: " + error.description},
              {"httpCode", error.status},         {"requestId", request_id},
              {"errors", std::move(errors)},      {"success", false}};
    case Shape::Anthropic: {
      json::object body{{"type", anthropic_type(error.status)}, {"message", error.description}};
      // Anthropic's clients send the whole conversation, without `thread`, to a server that says this.
      if (error.param == "thread" && error.openai_code == "unsupported_parameter")
        body["details"] = json::object{{"error_code", "thread_unsupported_request"}, {"unsupported", json::array{"thread"}}};
      return {{"type", "error"}, {"error", std::move(body)}, {"request_id", request_id}};
    }
    case Shape::OpenAi: {
      json::object body{{"message", error.description}, {"type", error.type}, {"param", nullptr}, {"code", nullptr}};
      if (!error.param.empty()) body["param"] = error.param;
      if (!error.openai_code.empty()) body["code"] = error.openai_code;
      return {{"error", std::move(body)}, {"errors", std::move(errors)}, {"success", false}};
    }
  }
  return {};
}

http::Headers error_headers(const Error& error) {
  http::Headers headers;
  if (error.code == Code::Busy || error.code == Code::QuotaUsed || error.code == Code::RateLimited || error.code == Code::WorkerGone || is_shortage(error)) {
    int64_t ms = error.retry_after_ms > 0 ? error.retry_after_ms : 1000;
    headers.push_back({"retry-after", std::to_string((ms + 999) / 1000)});
  }
  if (error.code == Code::UnsupportedParameter && error.pointer == "/content-encoding")
    headers.push_back({"accept-encoding", std::string(http::kCodingsTaken)});
  if (error.code == Code::Unauthenticated) headers.push_back({"www-authenticate", "Bearer"});
  return headers;
}

std::string server_error_body(int status, std::string_view message) {
  int code = status == 408 ? 3007 : status == 413 ? 3006 : status == 400 ? 3003 : status == 503 ? 3040 : 7003;
  std::string text = lossy_utf8(message);
  json::array errors{json::object{{"code", code}, {"message", text}}};
  json::object openai{
      {"message", text}, {"type", status < 500 ? "invalid_request_error" : "server_error"}, {"param", nullptr}, {"code", nullptr}};
  return json_body(json::object{
      {"result", nullptr}, {"success", false}, {"errors", std::move(errors)}, {"messages", json::array()}, {"error", std::move(openai)}});
}

Error own_failure(Error error) {
  if (error.code == Code::LoadFailed) error.code = Code::Internal;  // published as a model's failure otherwise, with its text
  if (error.code == Code::Forbidden) error.message = "Authentication error: this server cannot tell who may ask; its log says why";
  return error;
}

Error no_such_model(std::string_view id) {
  return fail(Code::NoSuchModel, "No such model {} or task", shown(id, 128));
}

Error no_such_route(std::string_view path) {
  if (path.starts_with("/client/v4/") || path.starts_with("/v1/")) return Error{Code::NotFound, "No route for that URI"};
  return fail(Code::NotFound, "Could not route to {}, perhaps your object identifier is invalid?", shown(path, 128));
}

Error no_such_response(std::string_view id, bool previous) {
  return fail(Code::NotFound, "{}'{}' not found: {}", previous ? kNoPrevious : kNoResponse, shown(id, 128), kNotKept);
}
Error no_such_item(std::string_view id) { return fail(Code::NotFound, "{}'{}' not found: {}", kNoItem, shown(id, 128), kNotKept); }

Error json_mode_unmet() { return Error{Code::InvalidInput, std::string(kJsonModeUnmet)}; }

Error not_built(std::string_view pointer, std::string_view hint) {
  return fail_at(Code::UnsupportedParameter, std::string(pointer), "'{}' is not supported by this server yet{}{}", pointer, hint.empty() ? "" : ": ", hint);
}

}  // namespace verge::api
