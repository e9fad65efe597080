// Something that answers a question of `verge run`: a model in this process, or a server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "protocol/event.h"
#include "protocol/tasks/text_generation.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::commands {

struct Question {
  std::string prompt;      // used where there are no messages
  json::array messages;    // [{role, content}]
  json::array tools;       // that the model may call, as the API takes them
  std::optional<json::value> schema;  // that the answer is to meet, in JSON
  bool raw = false;
  std::optional<double> temperature;
  std::optional<int64_t> max_tokens;
  uint64_t seed = 0;
};

// The native route's `response_format` of a schema.
inline json::object schema_format(const json::value& schema) {
  return {{"type", "json_schema"}, {"json_schema", schema}};
}

struct Answer {
  std::string text;
  protocol::Generated generated;  // the thought and the calls
  std::string finish_reason;  // "stop", "length", "tool_calls", "interrupted"; empty where the server doesn't say
  std::string model;          // what answered
  protocol::Usage usage;
  double first_token_s = 0;
  double total_s = 0;
};

class Asker {
 public:
  virtual ~Asker() = default;
  // `on_text` gets each piece of the answer as it arrives. With `interruptible`, Ctrl-C ends the answer and not the program.
  virtual Result<Answer> ask(const Question& question, bool interruptible, const std::function<void(std::string_view)>& on_text) = 0;
};

struct LocalOptions {
  std::string path;  // of the model
  std::string id;    // its name in the answer
  int threads = 0;
  bool show_progress = false;  // on stderr, while it loads
};
// Loads the model into this process.
Result<std::unique_ptr<Asker>> make_local_asker(const LocalOptions& options);
// Asks `model` of a server over its REST API.
Result<std::unique_ptr<Asker>> make_remote_asker(const std::string& server, const std::string& model, const std::string& token);

}  // namespace verge::commands
