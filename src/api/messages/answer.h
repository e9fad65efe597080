// How Anthropic's Messages API writes an answer.
#pragma once

#include <string>
#include <vector>

#include "api/generation.h"

namespace verge::api::messages {

class MessageAnswer : public AnswerFormat {
 public:
  // `effort`: JSON pointer of what asks for thoughts.
  MessageAnswer(std::string id, std::string model, std::string effort)
      : id_(std::move(id)), model_(std::move(model)), effort_(std::move(effort)) {}

  json::value whole(const std::vector<Answer>& answers) override;
  void accepted(size_t index, const protocol::Usage& prompt) override;
  std::string piece(size_t index, const protocol::Token& token) override;
  bool takes_deltas() const override { return true; }
  std::string delta(size_t index, const protocol::Delta& delta) override;
  std::string ending(size_t index, const Answer& answer) override;
  std::string closing(const std::vector<Answer>& answers) override;
  Error named(Error error) const override;
  std::string failure(const Published& error, std::string_view request_id) override;

 private:
  enum class Block { None, Text, Thinking, ToolUse };
  json::object message(const protocol::Usage& usage) const;
  std::string begin();  // message_start and ping, once
  std::string open(Block kind, json::object block);
  std::string close();
  std::string write(json::object delta);

  std::string id_, model_, effort_;
  protocol::Usage prompt_;
  bool begun_ = false;
  Block open_ = Block::None;
  size_t blocks_ = 0;
};

// Of /v1/messages/count_tokens: the prompt is read and nothing written.
class TokenCount : public AnswerFormat {
 public:
  json::value whole(const std::vector<Answer>& answers) override {
    return json::object{{"input_tokens", answers.front().usage.prompt_tokens}};
  }
  std::string piece(size_t, const protocol::Token&) override { return {}; }
  std::string closing(const std::vector<Answer>&) override { return {}; }
  std::string failure(const Published&, std::string_view) override { return {}; }
};

}  // namespace verge::api::messages
