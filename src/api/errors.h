// Error -> what clients of Workers AI and OpenAI see. The only file that knows published codes,
// statuses and texts.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::api {

// Which client reads the answer.
enum class Shape {
  Rest,     // {"result":…,"success":false,"errors":[{code,message}],"messages":[]}
  Binding,  // what workerd's `env.AI` reads: {internalCode,name,description,…}
  OpenAi,   // {"error":{message,type,param,code}}
  Anthropic,  // {"type":"error","error":{type,message},"request_id"}
};

struct Published {
  int status = 500;         // HTTP
  int code = 5001;          // 5006, 3040 …
  std::string description;  // without prefix and request id: "Bad input: Error: …"
  std::string message;      // as REST gives it: "AiError: Bad input: Error: … (<request id>)"
  std::string type;         // OpenAI: "invalid_request_error"
  std::string openai_code;  // OpenAI: "model_not_found"; empty = null
  std::string param;        // the parameter that the error names; empty = none
};

// Errors about a parameter have its JSON pointer: `pointer` "/top_k", `message` "'/top_k' must be <= 50". The status may depend on who reads it.
// `quota_text`: the operator's sentence for 3036, with "{neurons}" for the allocation; empty = the usual one.
Published publish(const Error& error, Shape shape, std::string_view request_id, std::string_view quota_text = "");

// Micro-neurons for people: "12.81", "10,000".
std::string neurons_text(int64_t micro, bool separators = false);

// The answer's body, and the headers that belong to the error (retry-after, www-authenticate).
json::object error_body(const Published& error, Shape shape, std::string_view request_id);
http::Headers error_headers(const Error& error);

// For answers that the HTTP server gives before a route is known.
std::string server_error_body(int status, std::string_view message);

// What the server's own databases say: their paths and advice are for the log, not for clients. Other errors stay.
Error own_failure(Error error);

// Raised by api itself.
Error no_such_model(std::string_view id);
Error no_such_route(std::string_view path);
// `previous`: a request goes on from it. Else it is what is asked for.
Error no_such_response(std::string_view id, bool previous);
Error no_such_item(std::string_view id);  // of a kept response
Error json_mode_unmet();  // the answer was cut before it was what the request's schema asks for
Error not_built(std::string_view pointer, std::string_view hint = "");  // UnsupportedParameter

}  // namespace verge::api
