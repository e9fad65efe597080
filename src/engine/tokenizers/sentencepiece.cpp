#include "engine/tokenizers/sentencepiece.h"

#include <algorithm>
#include <bit>

#include "engine/tokenizers/special_tokens.h"
#include "engine/tokenizers/unicode.h"

namespace verge::engine {
namespace {

// Orders floats as unsigned numbers, the greatest score first.
uint32_t priority_of(float score) {
  auto bits = std::bit_cast<uint32_t>(score + 0.0f);  // -0 as +0
  uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return std::min(~ascending, kNoMerge - 1);
}

}  // namespace

SentencePieceBpe::SentencePieceBpe(const Vocabulary& vocabulary, int32_t unknown) : vocabulary_(vocabulary), unknown_(unknown) {
  for (int byte = 0; byte < 256; ++byte) bytes_[byte] = vocabulary.byte_token(static_cast<uint8_t>(byte));
}

// The token that merging may form. Control, unknown and byte tokens are not spelled out of text,
// nor are those that build a conversation.
int32_t SentencePieceBpe::mergeable(std::string_view text) const {
  int32_t id = vocabulary_.find(text);
  if (id < 0) return -1;
  TokenKind kind = vocabulary_.kind(id);
  if (kind == TokenKind::UserDefined) return guards_a_turn(text, id, false, {}) ? -1 : id;
  return kind == TokenKind::Normal || kind == TokenKind::Unused ? id : -1;
}

void SentencePieceBpe::put_bytes(std::string_view text, size_t word_start, std::vector<int32_t>* out) const {
  bool all = true;
  for (char c : text) all &= bytes_[static_cast<uint8_t>(c)] >= 0;
  if (!all) {
    if (unknown_ >= 0 && (out->size() == word_start || out->back() != unknown_)) out->push_back(unknown_);
    return;
  }
  for (char c : text) out->push_back(bytes_[static_cast<uint8_t>(c)]);
}

size_t SentencePieceBpe::kept_bytes(std::string_view text) const {
  return std::ranges::all_of(bytes_, [](int32_t id) { return id >= 0; }) ? text.size() : 0;
}

// An unused token serves as a step of merging only; in the result the two halves that it was last merged
// from stand for it.
void SentencePieceBpe::resegment(std::string_view text, const Halves& halves, size_t word_start, std::vector<int32_t>* out) const {
  int32_t id = mergeable(text);
  if (id < 0) return put_bytes(text, word_start, out);
  if (vocabulary_.kind(id) == TokenKind::Unused) {
    for (auto half = halves.rbegin(); half != halves.rend(); ++half) {
      if (half->first != id) continue;
      resegment(text.substr(0, half->second), halves, word_start, out);
      resegment(text.substr(half->second), halves, word_start, out);
      return;
    }
  }
  out->push_back(id);
}

void SentencePieceBpe::encode(std::string_view word, SymbolScratch* scratch, std::vector<int32_t>* out) const {
  auto& symbols = scratch->symbols;
  symbols.clear();
  for (size_t at = 0; at < word.size();) {
    uint32_t length = code_point_at(word, at).length;
    symbols.push_back({static_cast<uint32_t>(at), length, mergeable(word.substr(at, length))});
    at += length;
  }
  Halves halves;
  merge_symbols(*scratch, [&](const Symbol& left, const Symbol& right) -> PairMerge {
    int32_t id = mergeable(word.substr(left.begin, left.length + right.length));
    if (id < 0) return {kNoMerge, -1};
    if (vocabulary_.kind(id) == TokenKind::Unused) halves.emplace_back(id, left.length);
    return {priority_of(static_cast<float>(vocabulary_.score(id))), id};
  });
  const size_t word_start = out->size();
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0 && vocabulary_.kind(symbol.id) != TokenKind::Unused) {
      out->push_back(symbol.id);
    } else {
      resegment(word.substr(symbol.begin, symbol.length), halves, word_start, out);
    }
  }
}

SpaceSymbolSplitter::SpaceSymbolSplitter(const Vocabulary& vocabulary) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.kind(id) == TokenKind::Control) continue;
    std::string_view text = vocabulary.text(id);
    for (size_t at = text.find(kSpaceSymbol, 1); at != std::string_view::npos; at = text.find(kSpaceSymbol, at + 1)) {
      size_t before = at - 1;
      while (before > 0 && at - before < 4 && (static_cast<uint8_t>(text[before]) & 0xC0) == 0x80) --before;
      char32_t point = code_point_at(text, before).value;
      if (point != 0x2581) before_space_.push_back(point);
    }
  }
  std::sort(before_space_.begin(), before_space_.end());
  before_space_.erase(std::unique(before_space_.begin(), before_space_.end()), before_space_.end());
}

void SpaceSymbolSplitter::apply(Words* words) const {
  std::vector<std::string_view> cut;
  for (std::string_view text : words->list) {
    size_t start = 0;
    for (size_t at = text.find(kSpaceSymbol, 1); at != std::string_view::npos; at = text.find(kSpaceSymbol, at + 1)) {
      size_t before = at - 1;
      while (before > start && at - before < 4 && (static_cast<uint8_t>(text[before]) & 0xC0) == 0x80) --before;
      CodePoint point = code_point_at(text, before);
      if (point.valid && point.value == 0x2581) continue;  // inside a run of spaces
      if (point.valid && std::binary_search(before_space_.begin(), before_space_.end(), point.value)) continue;
      cut.push_back(text.substr(start, at - start));
      start = at;
    }
    if (start < text.size()) cut.push_back(text.substr(start));
  }
  words->list = std::move(cut);
}

void SpaceSymbolNormalizer::apply(std::string* text, const Place& place) const {
  std::string out;
  out.reserve(text->size() + text->size() / 2);
  if (space_prefix_ && place.after_special) out += kSpaceSymbol;
  bool last_space = merge_spaces_;  // leading ones go as well
  for (char c : *text) {
    if (c != ' ') {
      out.push_back(c);
    } else if (!last_space) {
      out += kSpaceSymbol;
    }
    last_space = merge_spaces_ && c == ' ';
  }
  if (merge_spaces_ && text->ends_with(' ') && std::string_view(out).ends_with(kSpaceSymbol)) out.resize(out.size() - kSpaceSymbol.size());
  *text = std::move(out);
}

}  // namespace verge::engine
