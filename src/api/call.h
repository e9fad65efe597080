// One request on its way through api: what endpoints read, and how they answer.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "api/api.h"
#include "api/errors.h"
#include "catalogue/catalogue.h"
#include "support/trace.h"

namespace verge::api {

// Metric families of the API, made once.
struct Counters {
  explicit Counters(metrics::Registry& registry);
  metrics::Counter requests, errors, prompt_tokens, cached_tokens, generated_tokens, audio_seconds, encoder_seconds, decoder_seconds;
  metrics::Histogram real_time_factor, duration, queue_time, first_token, token_interval;
  metrics::Gauge in_flight;
};

struct Context {
  protocol::Service& service;
  const catalogue::Catalogue& catalogue;
  accounts::Accounts* accounts;
  Options options;
  std::unique_ptr<metrics::Registry> own_metrics;  // where the options bring none
  Counters counters;
};

struct Call {
  Call(Context& c, http::Incoming& i, http::Responder& o) : context(c), in(i), out(o) {}

  Context& context;
  http::Incoming& in;
  http::Responder& out;
  std::string id;  // cf-ai-req-id
  Shape shape = Shape::Rest;
  std::map<std::string, std::string, std::less<>> path;  // "account", "model" of the route's pattern
  const Vouched* vouched = nullptr;                      // a hosted Worker asks
  std::string tenant;                                    // account that is charged
  http::Headers headers;                                 // of every answer: request id, CORS, verge-*
  std::vector<std::string> ignored;                      // parameters without effect, named in `verge-ignored`
  bool substituted = false;                              // the client named another model than the one that is asked
  bool image_results = false;                            // see Options; a wrapped request may say otherwise
  int64_t started_us = 0;
  int64_t deadline_ms = 0;                               // Unix time by which the answer must have begun; 0 = any
  trace::Span span;                                      // the whole request

  // For the access log and the metrics, filled on the way.
  std::string model;
  std::string asked;        // one of OpenAI's names, where another model is asked for it
  std::string answered_by;  // the model that answered: another one where a stand-in did
  int status = 0;  // 0 = the client left before an answer
  int error_code = 0;
  int64_t prompt_tokens = 0, completion_tokens = 0;
  int64_t first_token_us = 0;  // 0 = none
};

// Which models can be asked now, as of the time that it is made.
class Availability {
 public:
  explicit Availability(const Context& context);
  bool has(const catalogue::Entry& entry) const { return all_ || ids_.contains(entry.id); }

 private:
  std::set<std::string> ids_;
  bool all_;
};

// Names of parameters that have no effect here: the answer's header `verge-ignored` and the log tell them.
void note_ignored(Call& call, std::vector<std::string> names);

// The calls below take what they need before they return: their arguments need not live on.
http::task<void> respond(Call& call, int status, http::Headers headers, std::string body);
// JSON with content type exactly "application/json": the binding compares it as a whole.
http::task<void> respond_json(Call& call, int status, const json::value& body);
http::task<void> respond_json(Call& call, const json::value& body);
// {"result":…,"success":true,"errors":[],"messages":[]}, with further members after it.
http::task<void> respond_envelope(Call& call, json::value result, json::object more = {});
http::task<void> respond_error(Call& call, const Error& error);

json::object envelope(json::value result);

// Makes the body UTF-8 text that may be JSON, whatever its content type says. InvalidInput where there is none or it is
// a form; else as make_utf8().
Result<void> read_json_text(const Call& call);
// The body as a JSON object.
Result<json::object> body_object(const Call& call);

}  // namespace verge::api
