// What comes back for a Request: a stream of events that ends with exactly one End or Failure.
//   Accepted (Token | Part)* (Result)? (Usage)? (End | Failure)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/load.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::protocol {

// The events have constructors because GCC 12 copies an aggregate that is made inside a co_await
// expression byte by byte (strings and all), and `co_await sink.put(Failure{error})` is how events are put.
// verge::Error is an aggregate still: make one with fail() or in a variable, not inside a co_await, and
// keep ?: out of there too.

// The request has left the queue: it has a slot and its prompt is read. Over a socket it comes with the next event.
struct Accepted {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of them found in the prefix cache
  std::string node;           // name of the node that answers
  std::string model;          // id of what really answers (a stand-in's own id)
  bool substituted = false;
  std::optional<Load> load;   // of the model at this instant, where its process knows
  std::string build;          // of weights, arithmetic and program: answers of equal builds have equal bytes. Empty = not known

  Accepted() = default;
  Accepted(int64_t prompt, int64_t cached, std::string node_name, std::string model_id, bool stand_in)
      : prompt_tokens(prompt), cached_tokens(cached), node(std::move(node_name)), model(std::move(model_id)), substituted(stand_in) {}
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

  Token() = default;
  Token(std::vector<int32_t> i, std::string t, std::vector<TokenLogprob> l = {}) : ids(std::move(i)), text(std::move(t)), logprobs(std::move(l)) {}
};

// Bytes of an answer (sound, a picture, vectors), which travel as they are beside the JSON.
struct Blob {
  std::string content_type;  // "audio/wav", "application/octet-stream"; empty = the task says what they are
  std::string bytes;
  bool operator==(const Blob&) const = default;
};

// A share of a Result that is done before the rest, where the request asks for such (a transcript's segments). An attempt that is
// repeated makes the same parts again, in the same order.
struct Part {
  json::value value;
  Blob blob;

  Part() = default;
  explicit Part(json::value v, Blob b = {}) : value(std::move(v)), blob(std::move(b)) {}
};

struct Result {
  json::value value;  // the answer of a task that does not stream, see protocol/tasks/<task>.h
  Blob blob;

  Result() = default;
  explicit Result(json::value v, Blob b = {}) : value(std::move(v)), blob(std::move(b)) {}
};

// What an answer took, in the units of the published prices. What a task does not count stays 0.
struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t audio_ms = 0;    // of sound, read or made
  int64_t images = 0;      // read
  int64_t tiles = 0;       // of 512 x 512 pixels, of pictures made: each begun one counts
  int64_t steps = 0;       // of making them
  int64_t characters = 0;  // of text to be spoken
  int64_t encoder_us = 0, decoder_us = 0;  // of speech: its share of what the model has computed

  bool operator==(const Usage&) const = default;
  Usage& operator+=(const Usage& other) {
    prompt_tokens += other.prompt_tokens;
    completion_tokens += other.completion_tokens;
    cached_tokens += other.cached_tokens;
    audio_ms += other.audio_ms;
    images += other.images;
    tiles += other.tiles;
    steps += other.steps;
    characters += other.characters;
    encoder_us += other.encoder_us;
    decoder_us += other.decoder_us;
    return *this;
  }
};

struct Failure {
  Error error;

  Failure() = default;
  explicit Failure(Error e) : error(std::move(e)) {}
};

struct End {
  std::string finish_reason;  // "stop", "length"

  End() = default;
  explicit End(std::string reason) : finish_reason(std::move(reason)) {}
};

using Event = std::variant<Accepted, Token, Part, Result, Usage, Failure, End>;

inline bool terminal(const Event& event) {
  return std::holds_alternative<Failure>(event) || std::holds_alternative<End>(event);
}

}  // namespace verge::protocol
