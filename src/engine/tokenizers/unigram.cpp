#include "engine/tokenizers/unigram.h"

#include <algorithm>
#include <limits>

#include "engine/tokenizers/special_tokens.h"
#include "engine/tokenizers/unicode.h"

namespace verge::engine {
namespace {

constexpr double kUnknownPenalty = 10.0;  // below the least score of a token (SentencePiece's kUnkPenalty)

}  // namespace

Unigram::Unigram(const Vocabulary& vocabulary, Options options) : vocabulary_(vocabulary), options_(options) {
  trie_.reserve(static_cast<size_t>(vocabulary.size()) * 2);
  double least = std::numeric_limits<double>::max();
  greatest_score_ = std::numeric_limits<double>::lowest();
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    TokenKind kind = vocabulary.kind(id);
    if (kind == TokenKind::Normal) {
      least = std::min(least, vocabulary.score(id));
      greatest_score_ = std::max(greatest_score_, vocabulary.score(id));
    }
    // Tokens that build a conversation are matched as a whole, not spelled out of text.
    const bool spelled =
        kind == TokenKind::Normal ||
        (kind == TokenKind::UserDefined && !guards_a_turn(vocabulary.text(id), id, false, {}));
    if (spelled) trie_.insert(vocabulary.text(id), id);
  }
  if (greatest_score_ == std::numeric_limits<double>::lowest()) greatest_score_ = 0;
  if (least == std::numeric_limits<double>::max()) least = 0;
  unknown_score_ = least - kUnknownPenalty;
  if (options.single_precision) unknown_score_ = static_cast<float>(unknown_score_);
}

// User-defined tokens win over any spelling of their text.
double Unigram::score_of(int32_t id, size_t bytes) const {
  if (vocabulary_.kind(id) != TokenKind::UserDefined) return vocabulary_.score(id);
  if (!options_.user_defined_by_length) return 0.0;
  const double score = static_cast<double>(bytes) * greatest_score_ - 0.1;
  return options_.single_precision ? static_cast<float>(score) : score;
}

void Unigram::encode(std::string_view word, SymbolScratch*, std::vector<int32_t>* out) const {
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    int32_t id = -1;
    uint32_t begin = 0;
  };
  constexpr int32_t kUnknownHere = -2;  // no token: the unknown one, or bytes
  std::vector<Best> best(word.size() + 1);
  best[0].score = 0;
  for (size_t at = 0; at < word.size();) {
    const size_t length = code_point_at(word, at).length;
    bool whole_character = false;
    const double score = best[at].score;
    auto offer = [&](size_t end, int32_t id, double total) {
      if (options_.single_precision) total = static_cast<float>(total);
      if (total > best[end].score) best[end] = {total, id, static_cast<uint32_t>(at)};
    };
    trie_.prefixes(word.substr(at), [&](size_t bytes, int32_t id) {
      if (bytes == length) whole_character = true;
      offer(at + bytes, id, score + score_of(id, bytes));
    });
    if (!whole_character) offer(at + length, kUnknownHere, score + unknown_score_);
    at += length;
  }
  const size_t first = out->size();
  bool after_unknown = false;
  for (size_t end = word.size(); end > 0; end = best[end].begin) {
    int32_t id = best[end].id;
    if (id != kUnknownHere) {
      out->push_back(id);
      after_unknown = id == options_.unknown;
      continue;
    }
    std::string_view bytes = word.substr(best[end].begin, end - best[end].begin);
    if (options_.byte_fallback &&
        std::all_of(bytes.begin(), bytes.end(), [&](char c) { return vocabulary_.byte_token(static_cast<uint8_t>(c)) >= 0; })) {
      for (auto c = bytes.rbegin(); c != bytes.rend(); ++c) out->push_back(vocabulary_.byte_token(static_cast<uint8_t>(*c)));
      after_unknown = false;
    } else {
      if (options_.unknown >= 0 && !after_unknown) out->push_back(options_.unknown);
      after_unknown = true;
    }
  }
  std::reverse(out->begin() + static_cast<ptrdiff_t>(first), out->end());
}

void SentencePieceNormalizer::apply(std::string* text, const Place& place) const {
  const std::string_view space = options_.escape ? kSpaceSymbol : std::string_view(" ");
  const bool prefix = options_.space_prefix && !options_.space_is_suffix && (options_.prefix_each_fragment || place.first);
  std::string out;
  out.reserve(text->size() + text->size() / 4 + 8);
  if (prefix && !options_.merge_spaces && !text->empty()) out += space;
  bool in_word = false, only_spaces = true;
  auto put = [&](std::string_view piece) {
    if (piece.find_first_not_of(' ') != std::string_view::npos || piece.empty()) only_spaces = false;
    for (char c : piece) {
      if (c == ' ') {
        in_word = false;
        if (!options_.merge_spaces) out += space;
        continue;
      }
      // One space stands for the run before a word; before the first word it is there only as the prefix.
      if (!in_word && options_.merge_spaces && (prefix || !out.empty())) out += space;
      in_word = true;
      out.push_back(c);
    }
  };
  std::string_view rest = *text;
  while (!rest.empty()) {
    if (size_t user = user_defined_.longest_prefix(rest)) {
      put(rest.substr(0, user));
      rest.remove_prefix(user);
    } else if (auto match = map_.longest(rest); match.length > 0) {
      put(match.replacement);
      rest.remove_prefix(match.length);
    } else {
      CodePoint point = code_point_at(rest, 0);
      put(point.valid ? rest.substr(0, point.length) : std::string_view("\xEF\xBF\xBD"));
      rest.remove_prefix(point.length);
    }
  }
  while (options_.merge_spaces && std::string_view(out).ends_with(space))
    out.resize(out.size() - space.size());  // U+2581 of the text itself
  if (options_.space_prefix && options_.space_is_suffix && !(options_.merge_spaces && only_spaces)) out += space;
  *text = std::move(out);
}

}  // namespace verge::engine
