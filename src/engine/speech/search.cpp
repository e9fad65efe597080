// Beams go on as in CTranslate2's BeamSearch, which faster-whisper's users know: of twice as many candidates as beams, those
// among the first that end are put aside and the next best take their places, until as many have ended as there are beams
// (times the patience).
#include "engine/speech/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/random.h"

namespace verge::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void forbid(std::span<float> logits, int64_t begin, int64_t end) {
  begin = std::max<int64_t>(begin, 0);
  end = std::min<int64_t>(end, static_cast<int64_t>(logits.size()));
  if (begin < end) std::fill(logits.begin() + begin, logits.begin() + end, kNever);
}

// log Σ exp over a range; -infinity where nothing is allowed.
double log_sum(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  if (top == kNever) return top;
  double sum = 0;
  for (float x : logits) {
    if (x > top - 40) sum += std::exp(x - top);
  }
  return top + std::log(sum);
}

}  // namespace

double probability_of(std::span<const float> logits, int32_t token) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(x - top);
  return std::exp(logits[static_cast<size_t>(token)] - top) / sum;
}

void TokenRules::apply(std::span<const int32_t> sampled, std::span<float> logits) const {
  const WhisperTokenizer& t = *tokenizer;
  const auto at = [&](int32_t id) -> float& { return logits[static_cast<size_t>(id)]; };
  for (int32_t id : t.suppressed) at(id) = kNever;
  if (sampled.empty() && suppress_blank) {
    for (int32_t id : t.suppressed_first) at(id) = kNever;
  }
  const auto size = static_cast<int64_t>(logits.size());
  if (!timestamps) {
    const auto total = static_cast<float>(log_sum(logits));
    for (float& x : logits) x -= total;
    return;
  }
  at(t.no_timestamps) = kNever;
  const auto is_timestamp = [&](int32_t id) { return id >= t.first_timestamp; };
  const bool last = !sampled.empty() && is_timestamp(sampled.back());
  const bool before_last = sampled.size() < 2 || is_timestamp(sampled[sampled.size() - 2]);
  if (last) {
    // Timestamps come in pairs: after two of them text, after one its partner or the end.
    before_last ? forbid(logits, t.first_timestamp, size) : forbid(logits, 0, t.end);
  }
  const auto latest = std::find_if(sampled.rbegin(), sampled.rend(), is_timestamp);
  // They never go back, and a segment is longer than nothing.
  if (latest != sampled.rend()) forbid(logits, t.first_timestamp, last && !before_last ? *latest : *latest + 1);
  if (sampled.empty()) {
    forbid(logits, 0, t.first_timestamp);
    forbid(logits, int64_t{t.first_timestamp} + max_initial_timestamp + 1, size);
  }
  const double stamps = log_sum(logits.subspan(static_cast<size_t>(t.first_timestamp)));
  const auto text = logits.first(static_cast<size_t>(t.first_timestamp));
  // All timestamps together against the likeliest text token.
  if (stamps > *std::max_element(text.begin(), text.end())) forbid(logits, 0, t.first_timestamp);
  const double texts = log_sum(text);
  const double most = std::max(stamps, texts);
  const auto total = static_cast<float>(most + std::log(std::exp(stamps - most) + std::exp(texts - most)));
  for (float& x : logits) x -= total;
}

Search::Search(TokenRules rules, SearchOptions options)
    : rules_(rules), options_(options), sampling_(options.temperature > 0), alive_(1), lane_(1), candidates_(1) {}

// Fills candidates_[row].
void Search::consider(int row, float* logits) {
  const auto vocabulary = static_cast<size_t>(rules_.tokenizer->vocabulary);
  const std::span<float> scores(logits + static_cast<size_t>(row) * vocabulary, vocabulary);
  const Hypothesis& hypothesis = alive_[static_cast<size_t>(row)];
  rules_.apply(hypothesis.tokens, scores);
  auto& list = candidates_[static_cast<size_t>(row)];
  list.clear();
  if (sampling_) {
    // The first step's one row is all samples' row.
    const size_t first = steps_ == 0 ? 0 : static_cast<size_t>(lane_[static_cast<size_t>(row)]);
    const size_t end = steps_ == 0 ? static_cast<size_t>(options_.best_of) : first + 1;
    const float top = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (float x : scores) total += std::exp((x - top) / options_.temperature);
    for (size_t lane = first; lane < end; ++lane) {
      double left = unit_at(mix64(options_.seed) ^ lane, static_cast<uint64_t>(steps_)) * total;
      int32_t token = rules_.tokenizer->end;
      for (size_t id = 0; id < vocabulary; ++id) {
        if (scores[id] == kNever) continue;
        token = static_cast<int32_t>(id);
        left -= std::exp((scores[id] - top) / options_.temperature);
        if (left <= 0) break;
      }
      list.push_back({hypothesis.log_probability + scores[static_cast<size_t>(token)], row, token});
    }
    return;
  }
  const size_t wanted = 2 * static_cast<size_t>(options_.beams);
  float floor = kNever;
  for (size_t id = 0; id < vocabulary; ++id) {
    if (scores[id] <= floor) continue;
    list.push_back({scores[id], row, static_cast<int32_t>(id)});
    if (list.size() < 8 * wanted) continue;
    std::nth_element(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(wanted) - 1, list.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    list.resize(wanted);
    floor = static_cast<float>(list.back().score);
  }
  for (Candidate& c : list) c.score += hypothesis.log_probability;
}

void Search::choose() {
  sampling_ ? choose_samples() : choose_beams();
  ++steps_;
  candidates_.resize(std::max<size_t>(alive_.size(), 1));
}

void Search::choose_beams() {
  std::vector<Candidate> all;
  for (const auto& list : candidates_) all.insert(all.end(), list.begin(), list.end());
  const auto beams = static_cast<size_t>(options_.beams);
  const size_t wanted = std::min(2 * beams, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(wanted), all.end(), [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.row != b.row ? a.row < b.row : a.token < b.token;
  });
  all.resize(wanted);
  const int32_t end = rules_.tokenizer->end;
  const bool last_step = steps_ + 1 >= options_.max_tokens;
  std::vector<Hypothesis> going;
  next_.clear();
  size_t spare = beams;
  const auto go_on = [&](const Candidate& c) {
    Hypothesis hypothesis = alive_[static_cast<size_t>(c.row)];
    hypothesis.tokens.push_back(c.token);
    hypothesis.log_probability = c.score;
    going.push_back(std::move(hypothesis));
    next_.push_back({c.row, c.token});
  };
  for (size_t i = 0; i < std::min(beams, all.size()); ++i) {
    const Candidate& c = all[i];
    if (c.token != end && !last_step) {
      go_on(c);
      continue;
    }
    Hypothesis hypothesis = alive_[static_cast<size_t>(c.row)];
    if (c.token != end) hypothesis.tokens.push_back(c.token);
    hypothesis.log_probability = c.score;
    finished_.push_back(std::move(hypothesis));
    while (spare < all.size() && all[spare].token == end) ++spare;
    if (spare < all.size() && !last_step) go_on(all[spare++]);
  }
  const auto enough = static_cast<size_t>(std::max(1.0f, std::round(static_cast<float>(options_.beams) * options_.patience)));
  if (last_step || finished_.size() >= enough) {
    next_.clear();
    going.clear();
  }
  if (going.empty() && finished_.empty()) finished_.push_back(alive_[0]);  // nothing may follow
  alive_ = std::move(going);
}

void Search::choose_samples() {
  const int32_t end = rules_.tokenizer->end;
  const bool last_step = steps_ + 1 >= options_.max_tokens;
  std::vector<Hypothesis> going;
  std::vector<int> lanes;
  next_.clear();
  for (size_t row = 0; row < alive_.size(); ++row) {
    for (size_t i = 0; i < candidates_[row].size(); ++i) {
      const Candidate& c = candidates_[row][i];
      Hypothesis hypothesis = alive_[row];
      hypothesis.log_probability = c.score;
      if (c.token != end) hypothesis.tokens.push_back(c.token);
      if (c.token == end || last_step) {
        finished_.push_back(std::move(hypothesis));
        continue;
      }
      going.push_back(std::move(hypothesis));
      lanes.push_back(steps_ == 0 ? static_cast<int>(i) : lane_[row]);
      next_.push_back({static_cast<int>(row), c.token});
    }
  }
  alive_ = std::move(going);
  lane_ = std::move(lanes);
}

double Search::normalised(const Hypothesis& hypothesis) const {
  const double length = std::max<double>(1, static_cast<double>(hypothesis.tokens.size()));
  return hypothesis.log_probability / std::pow(length, options_.length_penalty);
}

Hypothesis Search::best() const {
  return *std::max_element(finished_.begin(), finished_.end(), [&](const Hypothesis& a, const Hypothesis& b) { return normalised(a) < normalised(b); });
}

}  // namespace verge::engine
