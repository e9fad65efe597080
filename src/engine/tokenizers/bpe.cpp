#include "engine/tokenizers/bpe.h"

#include <algorithm>

#include "engine/tokenizers/unicode.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr size_t kMergeBatch = 64;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

size_t spread(uint64_t key) {
  key *= 0x9E3779B97F4A7C15ull;
  return static_cast<size_t>(key ^ key >> 32);
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, BpeOptions options) : vocabulary_(vocabulary), options_(std::move(options)) {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) {
    text.clear();
    append_utf8(text, byte_level_char(static_cast<uint8_t>(byte)));
    byte_symbols_[byte] = options_.byte_level      ? vocabulary.find(text)
                          : options_.byte_fallback ? vocabulary.byte_token(static_cast<uint8_t>(byte))
                                                   : -1;
  }
}

// Finds the three tokens of `merges` and enters them, ranks from `rank` on. A batch at a time, as the look-ups
// are bound by memory latency.
Result<void> Bpe::add_merges(std::span<const std::pair<std::string_view, std::string_view>> merges, uint32_t rank) {
  std::array<std::string_view, kMergeBatch * 3> texts;
  std::array<int32_t, kMergeBatch * 3> ids;
  std::string joined;
  std::array<size_t, kMergeBatch + 1> ends{};
  for (size_t i = 0; i < merges.size(); ++i) {
    // A symbol inside a word carries the prefix once: "##a" + "##b" is "##ab".
    std::string_view tail = merges[i].second;
    if (!options_.continuing_prefix.empty() && tail.starts_with(options_.continuing_prefix)) {
      tail.remove_prefix(options_.continuing_prefix.size());
    }
    joined.append(merges[i].first).append(tail);
    ends[i + 1] = joined.size();
  }
  for (size_t i = 0; i < merges.size(); ++i) {
    texts[3 * i] = merges[i].first;
    texts[3 * i + 1] = merges[i].second;
    texts[3 * i + 2] = std::string_view(joined).substr(ends[i], ends[i + 1] - ends[i]);
  }
  const size_t count = merges.size() * 3;
  vocabulary_.find_all(std::span(texts).first(count), std::span(ids).first(count));
  for (size_t i = 0; i < count; ++i) {
    if (ids[i] < 0 && !options_.skip_unknown_merges) {
      return fail(Code::LoadFailed, "tokenizer: merge {} needs \"{}\", which is no token", rank + i / 3, texts[i].substr(0, 64));
    }
  }
  const size_t mask = merges_.size() - 1;
  for (size_t i = 0; i < merges.size(); ++i) __builtin_prefetch(&merges_[spread(pair_key(ids[3 * i], ids[3 * i + 1])) & mask]);
  for (size_t i = 0; i < merges.size(); ++i) {
    if (ids[3 * i] < 0 || ids[3 * i + 1] < 0 || ids[3 * i + 2] < 0) continue;
    const uint64_t pair = pair_key(ids[3 * i], ids[3 * i + 1]);
    size_t at = spread(pair) & mask;
    while (merges_[at].id >= 0 && merges_[at].pair != pair) at = (at + 1) & mask;
    if (merges_[at].id < 0) merges_[at] = {pair, rank + static_cast<uint32_t>(i), ids[3 * i + 2]};  // listed twice: the first rank
  }
  return {};
}

Result<std::unique_ptr<Bpe>> Bpe::make(const Vocabulary& vocabulary, const std::vector<std::string>& merges, BpeOptions options) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  pairs.reserve(merges.size());
  for (const std::string& merge : merges) {
    size_t space = std::min(merge.find(' ', 1), merge.size());
    // Without a second text it stays in the list, for the ranks of the others, and finds no token.
    pairs.emplace_back(std::string_view(merge).substr(0, space),
                       std::string_view(merge).substr(std::min(space + 1, merge.size())));
  }
  options.skip_unknown_merges = true;
  return make(vocabulary, pairs, std::move(options));
}

Result<std::unique_ptr<Bpe>> Bpe::make(const Vocabulary& vocabulary, std::span<const std::pair<std::string_view, std::string_view>> merges,
                                       BpeOptions options) {
  if (merges.size() > limits::kTokenizerMerges) {
    return fail(Code::LoadFailed, "tokenizer: {} merges, limit {}", merges.size(), limits::kTokenizerMerges);
  }
  std::unique_ptr<Bpe> bpe(new Bpe(vocabulary, std::move(options)));
  size_t slots = 16;
  while (slots < merges.size() * 2) slots *= 2;
  bpe->merges_.resize(slots);
  for (size_t rank = 0; rank < merges.size(); rank += kMergeBatch) {
    VERGE_TRY(bpe->add_merges(merges.subspan(rank, std::min(kMergeBatch, merges.size() - rank)), static_cast<uint32_t>(rank)));
  }
  return bpe;
}

PairMerge Bpe::lookup(const Symbol& left, const Symbol& right) const {
  if (left.id < 0 || right.id < 0) return {kNoMerge, -1};
  uint64_t pair = pair_key(left.id, right.id);
  size_t mask = merges_.size() - 1;
  for (size_t at = spread(pair) & mask; merges_[at].id >= 0; at = (at + 1) & mask) {
    if (merges_[at].pair == pair) return {merges_[at].rank, merges_[at].id};
  }
  return {kNoMerge, -1};
}

// Some vocabularies have no symbol for a few control characters and for bytes that UTF-8 does not use.
size_t Bpe::kept_bytes(std::string_view text) const {
  const bool all = std::ranges::all_of(byte_symbols_, [](int32_t id) { return id >= 0; });
  if (options_.byte_level && !all)
    return static_cast<size_t>(std::ranges::count_if(text, [this](char c) { return byte_symbols_[static_cast<uint8_t>(c)] >= 0; }));
  return all && (options_.byte_level || options_.byte_fallback) ? text.size() : 0;
}

void Bpe::split_bytes(std::string_view word, SymbolScratch* scratch) const {
  for (size_t i = 0; i < word.size(); ++i) {
    scratch->symbols.push_back({static_cast<uint32_t>(i), 1, byte_symbols_[static_cast<uint8_t>(word[i])]});
  }
}

void Bpe::split_characters(std::string_view word, SymbolScratch* scratch) const {
  const bool affixes = !options_.continuing_prefix.empty() || !options_.word_suffix.empty();
  std::string text;
  for (size_t at = 0; at < word.size();) {
    uint32_t length = code_point_at(word, at).length;
    std::string_view character = word.substr(at, length);
    if (affixes) {
      text.clear();
      if (at > 0) text += options_.continuing_prefix;
      text += character;
      if (at + length == word.size()) text += options_.word_suffix;
      character = text;
    }
    scratch->symbols.push_back({static_cast<uint32_t>(at), length, vocabulary_.find(character)});
    at += length;
  }
}

int32_t Bpe::whole_word(std::string_view word) const {
  int32_t id;
  if (options_.byte_level) {
    std::string text;
    append_byte_level(text, word);
    id = vocabulary_.find(text);
  } else {
    id = vocabulary_.find(word);
  }
  return id >= 0 && vocabulary_.spelled(id) ? id : -1;
}

void Bpe::put_unknown(std::string_view bytes, std::vector<int32_t>* out, size_t word_start) const {
  if (options_.byte_fallback) {
    bool all = true;
    for (char c : bytes) all &= byte_symbols_[static_cast<uint8_t>(c)] >= 0;
    if (all) {
      for (char c : bytes) out->push_back(byte_symbols_[static_cast<uint8_t>(c)]);
      return;
    }
  }
  if (options_.unknown < 0) return;
  if (options_.fuse_unknown && out->size() > word_start && out->back() == options_.unknown) return;
  out->push_back(options_.unknown);
}

void Bpe::encode(std::string_view word, SymbolScratch* scratch, std::vector<int32_t>* out) const {
  if (word.empty()) return;
  if (options_.ignore_merges || (options_.whole_newlines && word.find_first_not_of('\n') == std::string_view::npos)) {
    if (int32_t id = whole_word(word); id >= 0) {
      out->push_back(id);
      return;
    }
  }
  scratch->symbols.clear();
  if (options_.byte_level) {
    split_bytes(word, scratch);
  } else {
    split_characters(word, scratch);
  }
  merge_symbols(*scratch, [this](const Symbol& left, const Symbol& right) { return lookup(left, right); });
  size_t word_start = out->size();
  for (const Symbol& symbol : scratch->symbols) {
    if (symbol.id >= 0) {
      out->push_back(symbol.id);
    } else {
      put_unknown(word.substr(symbol.begin, symbol.length), out, word_start);
    }
  }
}

}  // namespace verge::engine
