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
  bool collects() const override { return true; }
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
  std::string write(std::string_view type, std::string_view member, std::string_view piece);

  std::string id_, model_, effort_;
  protocol::Usage prompt_;
  bool begun_ = false;
  Block open_ = Block::None;
  json::object block_;   // that is open, as it began
  std::string written_;  // in it: text, thought or input
  json::array content_;  // blocks that are complete
};

}  // namespace verge::api::messages
