// How the text routes write their answers.
#pragma once

#include <string>

#include "api/generation.h"

namespace verge::api {

// {"response":…,"tool_calls":[{name, arguments: {…}}],"usage":…}, in REST's envelope or bare; a stream of {"response":…}
// events whose last has the usage. A stream's calls are OpenAI's deltas under "tool_calls".
class NativeText : public AnswerFormat {
 public:
  // json: the answer must be JSON. "response" is its value then, text pieces of it in a stream.
  // tools: it may be calls; why it ended is said then.
  explicit NativeText(Shape shape, bool json = false, bool tools = false) : shape_(shape), json_(json), tools_(tools) {}
  json::value whole(const std::vector<Answer>& answers) override;
  std::string piece(size_t index, const protocol::Token& token) override;
  bool takes_deltas() const override { return true; }
  std::string delta(size_t index, const protocol::Delta& delta) override;
  std::string closing(const std::vector<Answer>& answers) override;
  std::optional<Error> unmet(const std::vector<Answer>& answers) const override;
  std::string failure(const Published& error, std::string_view request_id) override;

 private:
  Shape shape_;
  bool json_, tools_;
};

// Chat and text completions. On the native route (models whose published answer has this shape) events
// also carry "response", and the last one is native.
class OpenAiText : public AnswerFormat {
 public:
  struct Settings {
    Shape shape = Shape::OpenAi;
    bool native_route = false;
    bool chat = true;
    bool include_usage = false;
    size_t answers_a_prompt = 1;
    std::vector<std::string> echoed;  // prompts that the answers' texts begin with; empty = they do not
    std::string id;  // "chatcmpl-…"
    std::string model;
    int64_t created = 0;  // Unix seconds
  };
  explicit OpenAiText(Settings settings) : settings_(std::move(settings)) {}
  json::value whole(const std::vector<Answer>& answers) override;
  std::string opening() override { return {}; }
  std::string piece(size_t index, const protocol::Token& token) override;
  bool takes_deltas() const override { return true; }
  std::string delta(size_t index, const protocol::Delta& delta) override;
  protocol::Usage usage(const std::vector<Answer>& answers) const override;
  std::string ending(size_t index, const Answer& answer) override;
  std::string closing(const std::vector<Answer>& answers) override;
  std::string failure(const Published& error, std::string_view request_id) override;

 private:
  json::object head(bool chunk) const;
  std::string_view echo(size_t index) const;
  std::string first(size_t index);  // the event with the role, once an answer
  std::string event(json::object choice, std::string_view text);

  Settings settings_;
  std::vector<bool> opened_;
  std::vector<size_t> characters_;  // of each answer so far, for text_offset
};

}  // namespace verge::api
