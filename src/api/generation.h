// Runs the Requests of one call on the Service and writes the answer, whole or as a stream.
//
// GE1 The status line is sent only after the first token or an error is known.
// GE2 A stream ends with exactly one of: the format's closing events, or one error event. Then it closes.
// GE3 An answer's end is sent after its row is committed to the usage ledger.
// GE4 When generate() returns, every run() that it started has ended: nothing below works for a
//    client that has left.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"
#include "protocol/event.h"
#include "protocol/request.h"
#include "protocol/tasks/text_generation.h"

namespace verge::api {

// What one Request came to.
struct Answer {
  std::string text;
  protocol::Generated generated;  // the thought and the calls
  std::vector<protocol::TokenLogprob> logprobs;
  protocol::Result result;  // see protocol/tasks/<task>.h
  std::string bytes;  // of its Parts, where the answer is no stream
  std::string finish_reason;
  protocol::Usage usage;
  int64_t reasoning_tokens = 0;  // of the completion's
};

// Prompts that are the same are counted once.
protocol::Usage total_usage(const std::vector<Answer>& answers, size_t answers_a_prompt);

// How a route writes text. All stream parts are whole SSE events, or empty.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  virtual json::value whole(const std::vector<Answer>& answers) = 0;
  // Where not empty, whole() is a string that is the body itself, of this content type.
  virtual std::string_view text_type() const { return {}; }
  // Where not empty, a stream is a file of this content type, not events: what fails on its way breaks it off.
  virtual std::string_view stream_type() const { return {}; }
  virtual void accepted(size_t /*index*/, const protocol::Usage& /*prompt*/) {}  // before its first piece; what the prompt took
  virtual std::string opening() { return {}; }  // before the first token of any answer
  virtual std::string piece(size_t index, const protocol::Token& token) = 0;
  virtual std::string part(size_t /*index*/, const protocol::Part& /*part*/) { return {}; }
  // Where true, Parts are pieces of a text: they are collected in the Answer, and a stream's go to
  // delta(), not part().
  virtual bool takes_deltas() const { return false; }
  virtual std::string delta(size_t /*index*/, const protocol::Delta& /*delta*/) { return {}; }
  virtual std::string ending(size_t /*index*/, const Answer& /*answer*/) { return {}; }  // an answer is complete
  // Where true, a whole answer is made of its pieces in their order: piece(), delta() and ending()
  // are called as for a stream, and what they return is left out.
  virtual bool collects() const { return false; }
  virtual std::string closing(const std::vector<Answer>& answers) = 0;
  // Answers that ended, and are still not what the request asks for: they are paid for, and an error is what the client gets.
  virtual std::optional<Error> unmet(const std::vector<Answer>& /*answers*/) const { return std::nullopt; }
  // Before the end of a good answer is sent, and after its last ending().
  virtual http::task<void> keep(const std::vector<Answer>& /*answers*/) { co_return; }
  // Of the whole call, for the account.
  virtual protocol::Usage usage(const std::vector<Answer>& answers) const { return total_usage(answers, 1); }
  // A failure that names a parameter, in the words of the route.
  virtual Error named(Error error) const { return error; }
  virtual std::string failure(const Published& error, std::string_view request_id) = 0;
};

http::task<void> generate(Call& call, std::vector<protocol::Request> requests, std::unique_ptr<AnswerFormat> format, bool stream);

}  // namespace verge::api
