#include "engine/tokenizers/special_tokens.h"

#include <algorithm>
#include <queue>

#include "engine/tokenizers/unicode.h"

namespace verge::engine {
namespace {

bool ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool word_character_before(std::string_view text, size_t at) {
  if (at == 0) return false;
  size_t begin = at - 1;
  while (begin > 0 && at - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  CodePoint point = code_point_at(text, begin);
  return point.valid && is_word_character(point.value);
}

bool word_character_after(std::string_view text, size_t at) {
  if (at >= text.size()) return false;
  CodePoint point = code_point_at(text, at);
  return point.valid && is_word_character(point.value);
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens, Order order) : tokens_(std::move(tokens)), order_(order) {
  // Not stable on purpose: for texts of one length llama.cpp's order is that of std::sort with this comparison.
  std::sort(tokens_.begin(), tokens_.end(), [](const SpecialToken& a, const SpecialToken& b) { return a.text.size() > b.text.size(); });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    all_.insert(tokens_[i].text, static_cast<int32_t>(i));
    if (!tokens_[i].special) plain_.insert(tokens_[i].text, static_cast<int32_t>(i));
  }
}

// Every position offers its longest token; the offers are taken in order of preference. An offer that
// reaches into what is taken already is replaced by the longest token that still fits there. So the cost is
// about that of one look-up a position, however many tokens there are.
void SpecialTokens::longest_first(std::string_view text, const Trie& trie, std::vector<Match>* matches) const {
  using Offer = std::pair<int32_t, size_t>;  // token, position
  std::vector<Offer> found;
  for (size_t at = 0; at < text.size(); ++at) {
    int32_t token = -1;
    if (trie.longest_prefix(text.substr(at), &token)) found.emplace_back(token, at);
  }
  if (found.empty()) return;
  std::vector<bool> taken(text.size());
  std::priority_queue<Offer, std::vector<Offer>, std::greater<>> offers(std::greater<>(), std::move(found));
  while (!offers.empty()) {
    auto [token, at] = offers.top();
    offers.pop();
    const SpecialToken& special = tokens_[token];
    size_t room = 0;
    while (room < special.text.size() && !taken[at + room]) ++room;
    if (room < special.text.size()) {
      int32_t shorter = -1;
      if (trie.longest_prefix(text.substr(at, room), &shorter)) offers.emplace(shorter, at);
      continue;
    }
    size_t begin = at, end = at + special.text.size();
    if (special.strip_left) {
      while (begin > 0 && !taken[begin - 1] && ascii_space(text[begin - 1])) --begin;
    }
    if (special.strip_right) {
      while (end < text.size() && !taken[end] && ascii_space(text[end])) ++end;
    }
    std::fill(taken.begin() + static_cast<ptrdiff_t>(begin), taken.begin() + static_cast<ptrdiff_t>(end), true);
    matches->push_back({begin, end, token});
  }
  std::sort(matches->begin(), matches->end(), [](const Match& a, const Match& b) { return a.begin < b.begin; });
}

void SpecialTokens::leftmost(std::string_view text, const Trie& trie, std::vector<Match>* matches) const {
  size_t floor = 0;  // end of the last match
  for (size_t at = 0; at < text.size();) {
    int32_t token = -1;
    size_t length = trie.longest_prefix(text.substr(at), &token);
    if (length == 0) {
      ++at;
      continue;
    }
    const SpecialToken& special = tokens_[token];
    size_t begin = at, end = at + length;
    if (special.single_word && (word_character_before(text, begin) || word_character_after(text, end))) {
      at = end;
      continue;
    }
    if (special.strip_left) {
      while (begin > floor) {
        size_t last = begin - 1;
        while (last > floor && begin - last < 4 && (static_cast<uint8_t>(text[last]) & 0xC0) == 0x80) --last;
        CodePoint point = code_point_at(text, last);
        if (!point.valid || last + point.length != begin || !is_whitespace(point.value)) break;
        begin = last;
      }
    }
    if (special.strip_right) {
      while (end < text.size()) {
        CodePoint point = code_point_at(text, end);
        if (!point.valid || !is_whitespace(point.value)) break;
        end += point.length;
      }
    }
    matches->push_back({begin, end, token});
    floor = at = end;
  }
}

void SpecialTokens::partition(std::string_view text, bool parse_special, std::vector<Fragment>* out) const {
  const Trie& trie = parse_special ? all_ : plain_;
  std::vector<Match> matches;
  if (!trie.empty()) {
    if (order_ == Order::LongestFirst) {
      longest_first(text, trie, &matches);
    } else {
      leftmost(text, trie, &matches);
    }
  }
  size_t at = 0;
  for (const Match& match : matches) {
    if (match.begin > at) out->push_back({text.substr(at, match.begin - at), -1});
    out->push_back({{}, tokens_[match.token].id});
    at = match.end;
  }
  if (at < text.size()) out->push_back({text.substr(at), -1});
}

}  // namespace verge::engine
