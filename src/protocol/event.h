// What comes back for a Request: a stream of events that ends with exactly one End or Failure.
//   Accepted (Token)* (Result)? (Usage)? (End | Failure)
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace verge::protocol {

// The request has left the queue: it has a slot and its prompt is read.
struct Accepted {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of them found in the prefix cache
  std::string node;           // name of the node that answers
  std::string model;          // id of what really answers (a stand-in's own id)
  bool substituted = false;
};

struct Candidate {
  int32_t id = 0;
  std::string text;   // raw bytes of the token; may be part of a UTF-8 sequence
  float logprob = 0;  // natural logarithm, of the unmodified distribution (before temperature and penalties)
};
struct TokenLogprob {
  Candidate chosen;
  std::vector<Candidate> top;  // best first
};

// Zero or more new ids with the text that became certain. Text never ends inside a UTF-8 sequence
// and never holds the start of a stop string, so ids may arrive before their text does.
struct Token {
  std::vector<int32_t> ids;
  std::string text;
  std::vector<TokenLogprob> logprobs;  // one an id where asked for
};

struct Result {
  json::value value;  // the answer of a task that does not stream
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;
};

struct Failure {
  Error error;
};

struct End {
  std::string finish_reason;  // "stop", "length"
};

using Event = std::variant<Accepted, Token, Result, Usage, Failure, End>;

inline bool terminal(const Event& event) {
  return std::holds_alternative<Failure>(event) || std::holds_alternative<End>(event);
}

}  // namespace verge::protocol
