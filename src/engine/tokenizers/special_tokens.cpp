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

bool guards_a_turn(std::string_view token, int32_t id, bool control,
                   std::span<const int32_t> stop_ids) {
  static constexpr std::pair<std::string_view, std::string_view> kForms[] = {
      {"<|", "|>"}, {"<\uFF5C", "\uFF5C>"}, {"[|", "|]"}};
  const auto has_form = [&](const auto& form) {
    return token.size() > form.first.size() + form.second.size() && token.starts_with(form.first) &&
           token.ends_with(form.second);
  };
  return control || std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end() ||
         std::any_of(std::begin(kForms), std::end(kForms), has_form);
}

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens, Order order) : tokens_(std::move(tokens)), order_(order) {
  // Not stable on purpose: for texts of one length llama.cpp's order is that of std::sort with this comparison.
  std::sort(tokens_.begin(), tokens_.end(), [](const SpecialToken& a, const SpecialToken& b) { return a.text.size() > b.text.size(); });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    all_.insert(tokens_[i].text, static_cast<int32_t>(i));
    if (!tokens_[i].special) plain_.insert(tokens_[i].text, static_cast<int32_t>(i));
  }
}

bool SpecialTokens::strips() const {
  return std::ranges::any_of(tokens_, [](const SpecialToken& token) { return token.strip_left || token.strip_right; });
}

class SpecialTokens::Offers {
 public:
  Offers(const SpecialTokens& tokens, std::string_view whole, bool parse_special,
         std::span<const TextRange> foreign)
      : text(whole),
        all_(tokens.all_),
        plain_(tokens.plain_),
        parse_special_(parse_special),
        foreign_(foreign) {}

  // Its length within `room` bytes, 0 where there is none.
  size_t longest(size_t at, int32_t* token, size_t room = std::string_view::npos) const {
    const std::string_view rest = text.substr(at, room);
    if (!parse_special_) return plain_.longest_prefix(rest, token);
    if (foreign_.empty()) return all_.longest_prefix(rest, token);
    const auto range =
        std::upper_bound(foreign_.begin(), foreign_.end(), at,
                         [](size_t byte, const TextRange& r) { return byte < r.end; });
    const size_t own = range == foreign_.end() ? rest.size()
                       : range->begin > at     ? range->begin - at
                                               : 0;
    size_t length = all_.longest_prefix(rest.substr(0, own), token);
    if (own >= rest.size()) return length;
    int32_t plain = -1;
    if (size_t longer = plain_.longest_prefix(rest, &plain); longer > length) {
      length = longer;
      *token = plain;
    }
    return length;
  }

  const std::string_view text;

 private:
  const Trie &all_, &plain_;
  const bool parse_special_;
  const std::span<const TextRange> foreign_;
};

// Every position offers its longest token; the offers are taken in order of preference. An offer that
// reaches into what is taken already is replaced by the longest token that still fits there. So the cost is
// about that of one look-up a position, however many tokens there are.
void SpecialTokens::longest_first(const Offers& longest, std::vector<Match>* matches) const {
  const std::string_view text = longest.text;
  using Offer = std::pair<int32_t, size_t>;  // token, position
  std::vector<Offer> found;
  for (size_t at = 0; at < text.size(); ++at) {
    int32_t token = -1;
    if (longest.longest(at, &token)) found.emplace_back(token, at);
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
      if (longest.longest(at, &shorter, room)) offers.emplace(shorter, at);
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

void SpecialTokens::leftmost(const Offers& longest, std::vector<Match>* matches) const {
  const std::string_view text = longest.text;
  size_t floor = 0;  // end of the last match
  for (size_t at = 0; at < text.size();) {
    int32_t token = -1;
    size_t length = longest.longest(at, &token);
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

void SpecialTokens::partition(std::string_view text, bool parse_special,
                              std::span<const TextRange> foreign,
                              std::vector<Fragment>* out) const {
  std::vector<Match> matches;
  if (!(parse_special ? all_ : plain_).empty()) {
    const Offers offers(*this, text, parse_special, foreign);
    if (order_ == Order::LongestFirst) {
      longest_first(offers, &matches);
    } else {
      leftmost(offers, &matches);
    }
  }
  size_t at = 0;
  for (const Match& match : matches) {
    if (match.begin > at) out->push_back({text.substr(at, match.begin - at), -1});
    out->push_back({{}, tokens_[match.token].id, tokens_[match.token].special});
    at = match.end;
  }
  if (at < text.size()) out->push_back({text.substr(at), -1});
}

}  // namespace verge::engine
