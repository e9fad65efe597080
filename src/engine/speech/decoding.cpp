#include "engine/speech/decoding.h"

namespace verge::engine {

Decoding::Decoding(HypothesisPages& pages, const EncodedAudio& audio, std::vector<int32_t> prompt, int start, const TokenRules& rules, const SearchOptions& options)
    : pages_(pages), audio_(audio), tokenizer_(*rules.tokenizer), prompt_(std::move(prompt)), search_(rules, options), length_(static_cast<int>(prompt_.size())) {
  wanted_ = {start};
  if (start != length_ - 1) wanted_.push_back(length_ - 1);
}

Decoding::~Decoding() {
  for (auto& table : tables_) pages_.release(&table);
}

void Decoding::append(std::vector<DecodeRows>* step, std::vector<std::pair<int32_t, int32_t>>* copies) {
  static constexpr int32_t kFirst[] = {0};
  if (first_) {
    tables_.push_back(pages_.make(length_));
    step->push_back({prompt_, 0, tables_.front(), &audio_, wanted_});
    return;
  }
  // The first to go on from a row takes over its pages, others get copies.
  std::vector<std::vector<int32_t>> next;
  std::vector<int> heir(tables_.size(), -1);
  for (const NextRow& row : search_.next()) {
    const auto parent = static_cast<size_t>(row.parent);
    if (heir[parent] < 0) {
      heir[parent] = static_cast<int>(next.size());
      next.push_back(std::move(tables_[parent]));
    } else {
      next.push_back(pages_.fork(next[static_cast<size_t>(heir[parent])], length_, copies));
    }
  }
  for (size_t i = 0; i < tables_.size(); ++i) {
    if (heir[i] < 0) pages_.release(&tables_[i]);
  }
  tables_ = std::move(next);
  ++length_;
  tokens_.clear();
  for (const NextRow& row : search_.next()) tokens_.push_back(row.token);
  for (size_t i = 0; i < tables_.size(); ++i) {
    pages_.grow(&tables_[i], length_);
    step->push_back({{&tokens_[i], 1}, length_ - 1, tables_[i], &audio_, kFirst});
  }
}

void Decoding::consider(int row, float* logits) {
  const auto vocabulary = static_cast<size_t>(tokenizer_.vocabulary);
  if (first_) {
    if (tokenizer_.no_speech >= 0) no_speech_probability_ = probability_of({logits, vocabulary}, tokenizer_.no_speech);
    logits += (wanted_.size() - 1) * vocabulary;
  }
  search_.consider(row, logits);
}

void Decoding::choose() {
  first_ = false;
  search_.choose();
}

}  // namespace verge::engine
