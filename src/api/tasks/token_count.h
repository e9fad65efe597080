// The tokens of a prompt, counted and not read through the model: Anthropic's count_tokens and the
// Responses API's input_tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/generation.h"

namespace verge::api {

class TokenCount : public AnswerFormat {
 public:
  // `object`: the answer's member of this name; empty: it has none.
  explicit TokenCount(std::string_view object = {}) : object_(object) {}

  json::value whole(const std::vector<Answer>& answers) override {
    json::object out;
    if (!object_.empty()) out["object"] = object_;
    out["input_tokens"] = protocol::text_outcome(answers.front().result).input_tokens.value_or(0);
    return out;
  }
  std::string piece(size_t, const protocol::Token&) override { return {}; }
  std::string closing(const std::vector<Answer>&) override { return {}; }
  std::string failure(const Published&, std::string_view) override { return {}; }

 private:
  std::string_view object_;
};

}  // namespace verge::api
