#include "api/call.h"

#include <algorithm>

#include "api/text_body.h"
#include "api/utf8.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/release.h"

namespace verge::api {

Counters::Counters(metrics::Registry& registry)
    : requests(registry.counter("verge_http_requests_total", "HTTP requests answered.", {"route", "method", "status"})),
      errors(registry.counter("verge_request_errors_total", "Requests refused or failed, by published error code.", {"code"})),
      prompt_tokens(registry.counter("verge_prompt_tokens_total", "Prompt tokens read.", {"model"})),
      cached_tokens(registry.counter("verge_prompt_tokens_cached_total", "Prompt tokens found in the prefix cache.", {"model"})),
      generated_tokens(registry.counter("verge_generation_tokens_total", "Tokens generated.", {"model"})),
      audio_seconds(registry.counter("verge_audio_seconds_total", "Seconds of sound listened to.", {"model"})),
      encoder_seconds(registry.counter("verge_speech_encoder_seconds_total", "Seconds that speech models' encoders have computed.", {"model"})),
      decoder_seconds(registry.counter("verge_speech_decoder_seconds_total", "Seconds that speech models' decoders have computed.", {"model"})),
      real_time_factor(registry.histogram("verge_speech_real_time_factor", "Seconds from a clip's arrival to the end of its transcript, per second of its sound.", {"model"},
                                          {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10})),
      duration(
          registry.histogram("verge_http_request_duration_seconds", "Time from a request's arrival to the end of its answer.", {"route"})),
      queue_time(
          registry.histogram("verge_request_queue_seconds", "Time from a request's arrival until a model has read its prompt.", {"model"})),
      first_token(registry.histogram("verge_time_to_first_token_seconds", "Time from a request's arrival to its first token.", {"model"})),
      token_interval(registry.histogram("verge_time_per_output_token_seconds", "Time between tokens of one answer.", {"model"})),
      in_flight(registry.gauge("verge_requests_in_flight", "Requests whose answer is not finished.")) {}

namespace {

// What a header may hold: the names are a client's bytes, those beyond ASCII percent-encoded.
std::string header_list(const std::vector<std::string>& names) {
  std::string list;
  for (size_t i = 0; i < names.size() && i < limits::kIgnoredNames; ++i) {
    if (i) list += ", ";
    for (const char c : names[i].substr(0, limits::kIgnoredNameBytes)) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte >= 0x80) list += fmt::format("%{:02X}", byte);
      else list += byte <= ' ' || byte == 0x7f || c == ',' || c == '"' ? '?' : c;
    }
  }
  if (names.size() > limits::kIgnoredNames) list += ", ...";
  return list;
}

}  // namespace

void note_ignored(Call& call, std::vector<std::string> names) {
  if (names.empty()) return;
  call.ignored.insert(call.ignored.end(), std::make_move_iterator(names.begin()), std::make_move_iterator(names.end()));
  const std::string list = header_list(call.ignored);
  std::erase_if(call.headers, [](const http::Header& header) { return header.name == "verge-ignored"; });
  call.headers.push_back({"verge-ignored", list});
  log::info("parameters ignored", {{"id", call.id}, {"names", list}});
}

Availability::Availability(const Context& context) : all_(!context.options.offered) {
  if (!all_) ids_ = context.options.offered();
}

http::task<void> respond(Call& call, int status, http::Headers headers, std::string body) {
  call.status = status;
  headers.insert(headers.begin(), call.headers.begin(), call.headers.end());
  co_await call.out.respond(status, std::move(headers), std::move(body));
}

http::task<void> respond_json(Call& call, int status, const json::value& body) {
  return respond(call, status, {{"content-type", "application/json"}}, json_body(body));
}

http::task<void> respond_json(Call& call, const json::value& body) { return respond_json(call, 200, body); }

json::object envelope(json::value result) {
  return {{"result", std::move(result)}, {"success", true}, {"errors", json::array()}, {"messages", json::array()}};
}

http::task<void> respond_envelope(Call& call, json::value result, json::object more) {
  json::object body = envelope(std::move(result));
  for (auto& [key, value] : more) body[key] = std::move(value);
  return respond_json(call, 200, body);
}

http::task<void> respond_error(Call& call, const Error& error) {
  Published published = publish(error, call.shape, call.id, call.context.options.quota_message);
  call.error_code = published.code;
  if (published.status >= 500)
    log::error("request failed", {{"id", call.id}, {"model", call.model}, {"code", to_string(error.code)}, {"error", error.message}});
  http::Headers headers = error_headers(error);
  headers.push_back({"content-type", "application/json"});
  return respond(call, published.status, std::move(headers), json_body(error_body(published, call.shape, call.id)));
}

Result<void> read_json_text(const Call& call) {
  if (call.in.body.empty()) return fail(Code::InvalidInput, "the request has no body; it must be a JSON object");
  const std::string_view content_type = call.in.header("content-type");
  VERGE_TRY(make_utf8(call.in.body, content_type));
  // curl -d calls JSON a form: only what is none is refused.
  const std::string type = media_type(content_type);
  if ((type == "application/x-www-form-urlencoded" || type.starts_with("multipart/")) && !looks_like_json(call.in.body))
    return fail(Code::InvalidInput, "the body is a form ({}); it must be a JSON object", type);
  return {};
}

Result<json::object> body_object(const Call& call) {
  VERGE_TRY(read_json_text(call));
  VERGE_ASSIGN(value, parse_json(call.in.body));
  release(call.in.body);  // not kept while the model answers
  if (!value.is_object()) return fail(Code::InvalidInput, "Type mismatch of '/', 'object' not in another type");
  return std::move(value.get_object());
}

}  // namespace verge::api
