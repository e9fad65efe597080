// Choosing the tokens of one window: Whisper's rules for what may follow, greedy and beam search, sampling. Pure: logits
// in, tokens and their parents out; whoever runs the model keeps the caches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/speech/whisper_tokenizer.h"

namespace verge::engine {

// openai/whisper, decoding.py: SuppressTokens, SuppressBlank, ApplyTimestampRules.
struct TokenRules {
  const WhisperTokenizer* tokenizer = nullptr;
  bool timestamps = true;
  int max_initial_timestamp = 50;  // in steps of 0.02 s
  bool suppress_blank = true;

  // Turns a row of logits into log-probabilities in place, -infinity where a token may not follow `sampled`.
  void apply(std::span<const int32_t> sampled, std::span<float> logits) const;
};

struct SearchOptions {
  int beams = 5;              // 1 = greedy
  int best_of = 5;            // samples where temperature > 0
  float patience = 1;
  float length_penalty = 1;   // scores are divided by length^penalty
  float temperature = 0;
  int max_tokens = 224;
  uint64_t seed = 0;          // of the draws where temperature > 0
};

struct Hypothesis {
  std::vector<int32_t> tokens;  // without the end token
  double log_probability = 0;   // of tokens and end
};

// Of one token among all that the logits are of.
double probability_of(std::span<const float> logits, int32_t token);

// The next row of a sequence: which row of the last step it goes on from, and with which token.
struct NextRow {
  int parent = 0;
  int32_t token = 0;
};

class Search {
 public:
  Search(TokenRules rules, SearchOptions options);

  // A step: consider() of every row, then choose(). `logits` {rows(), vocabulary} are those of the rows that next() named last (at
  // first: one row, after the prompt); changed. Rows may be considered on several threads.
  int rows() const { return static_cast<int>(alive_.size()); }
  void consider(int row, float* logits);
  void choose();
  std::span<const NextRow> next() const { return next_; }  // empty: done
  bool done() const { return next_.empty(); }
  // The best of all finished; after done().
  Hypothesis best() const;

 private:
  struct Candidate {
    double score;
    int row;
    int32_t token;
  };
  void choose_beams();
  void choose_samples();
  double normalised(const Hypothesis& hypothesis) const;

  const TokenRules rules_;
  const SearchOptions options_;
  const bool sampling_;
  std::vector<Hypothesis> alive_, finished_;
  std::vector<int> lane_;  // sampling: which sample each row is
  std::vector<std::vector<Candidate>> candidates_;
  std::vector<NextRow> next_;
  int steps_ = 0;
};

}  // namespace verge::engine
