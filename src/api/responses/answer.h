// How POST /v1/responses writes an answer, and keeps it before it says that it is complete.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "accounts/response_book.h"
#include "api/generation.h"
#include "api/responses/writer.h"

namespace verge::accounts {
class ResponseStore;
}

namespace verge::api::responses {

class ResponseAnswer : public AnswerFormat {
 public:
  // `kept`: what is kept but for the response itself. A null store keeps nothing.
  ResponseAnswer(Writer writer, accounts::ResponseStore* store, accounts::KeptResponse kept)
      : writer_(std::move(writer)), store_(store), kept_(std::move(kept)) {}

  json::value whole(const std::vector<Answer>& answers) override;
  std::string piece(size_t index, const protocol::Token& token) override;
  bool takes_deltas() const override { return true; }
  bool collects() const override { return true; }
  std::string delta(size_t index, const protocol::Delta& delta) override;
  std::string ending(size_t index, const Answer& answer) override;
  http::task<void> keep(const std::vector<Answer>& answers) override;
  std::string closing(const std::vector<Answer>& answers) override;
  Error named(Error error) const override;
  std::string failure(const Published& error, std::string_view request_id) override;

 private:
  std::string begin();  // the opening events, once: numbered before those that they come before

  Writer writer_;
  accounts::ResponseStore* store_;
  accounts::KeptResponse kept_;
  bool begun_ = false;
};

}  // namespace verge::api::responses
