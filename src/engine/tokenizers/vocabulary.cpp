#include "engine/tokenizers/vocabulary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "support/limits.h"

namespace verge::engine {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

// Multiply and fold 8 bytes at a time (the idea of wyhash); only speed and spread matter here.
uint64_t hash_bytes(std::string_view bytes) {
  auto mix = [](uint64_t a, uint64_t b) {
    auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  uint64_t hash = 0x9E3779B97F4A7C15ull ^ bytes.size();
  while (bytes.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash ^ word, 0xA0761D6478BD642Full);
    bytes.remove_prefix(8);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, bytes.data(), bytes.size());
  return mix(hash ^ tail, 0xE7037ED1A0B428DBull);
}

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  tokens_.reserve(tokens);
  arena_.reserve(bytes);
  size_t slots = 16;
  while (slots < tokens * 2) slots *= 2;
  if (slots > slots_.size()) {
    slots_.resize(slots);
    grow();
  }
}

// Refills the table at its present size from the tokens.
void Vocabulary::grow() {
  std::fill(slots_.begin(), slots_.end(), Slot{});
  size_t mask = slots_.size() - 1;
  for (int32_t id = 0; id < size(); ++id) {
    if (tokens_[id].length == 0) continue;
    uint64_t hash = hash_bytes(text(id));
    size_t at = hash & mask;
    while (slots_[at].id >= 0) at = (at + 1) & mask;
    slots_[at] = {static_cast<uint32_t>(hash >> 32), id};
  }
}

Result<void> Vocabulary::add(std::string_view text, TokenKind kind, double score) {
  if (tokens_.size() >= limits::kVocabulary) return fail(Code::LoadFailed, "tokenizer: more than {} tokens", limits::kVocabulary);
  if (arena_.size() + text.size() > limits::kVocabularyBytes) {
    return fail(Code::LoadFailed, "tokenizer: token texts of more than {} bytes", limits::kVocabularyBytes);
  }
  if (std::isnan(score)) return fail(Code::LoadFailed, "tokenizer: the score of token {} is not a number", tokens_.size());
  if ((tokens_.size() + 1) * 2 > slots_.size()) {
    slots_.resize(std::max<size_t>(16, slots_.size() * 2));
    grow();
  }
  auto id = static_cast<int32_t>(tokens_.size());
  if (!text.empty()) {
    uint64_t hash = hash_bytes(text);
    size_t mask = slots_.size() - 1, at = hash & mask;
    for (; slots_[at].id >= 0; at = (at + 1) & mask) {
      if (slots_[at].hash == static_cast<uint32_t>(hash >> 32) && this->text(slots_[at].id) == text) {
        return fail(Code::LoadFailed, "tokenizer: tokens {} and {} are the same text \"{}\"", slots_[at].id, id, text.substr(0, 64));
      }
    }
    slots_[at] = {static_cast<uint32_t>(hash >> 32), id};
  }
  tokens_.push_back({score, static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(text.size()), kind});
  arena_.append(text);
  longest_ = std::max(longest_, text.size());
  return {};
}

int32_t Vocabulary::find(std::string_view text) const { return text.size() > longest_ ? -1 : find_hashed(text, hash_bytes(text)); }

int32_t Vocabulary::find_hashed(std::string_view text, uint64_t hash) const {
  if (text.empty() || text.size() > longest_) return -1;
  size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].id >= 0; at = (at + 1) & mask) {
    if (slots_[at].hash == static_cast<uint32_t>(hash >> 32) && this->text(slots_[at].id) == text) return slots_[at].id;
  }
  return -1;
}

void Vocabulary::find_all(std::span<const std::string_view> texts, std::span<int32_t> ids) const {
  constexpr size_t kBatch = 64;
  std::array<uint64_t, kBatch> hashes;
  const size_t mask = slots_.size() - 1;
  for (size_t begin = 0; begin < texts.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, texts.size() - begin);
    auto slot_of = [&](size_t i) -> const Slot& { return slots_[hashes[i] & mask]; };
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = hash_bytes(texts[begin + i]);
      __builtin_prefetch(&slot_of(i));
    }
    for (size_t i = 0; i < count; ++i) {
      if (slot_of(i).id >= 0) __builtin_prefetch(&tokens_[slot_of(i).id]);
    }
    for (size_t i = 0; i < count; ++i) {
      if (slot_of(i).id >= 0) __builtin_prefetch(arena_.data() + tokens_[slot_of(i).id].offset);
    }
    for (size_t i = 0; i < count; ++i) ids[begin + i] = find_hashed(texts[begin + i], hashes[i]);
  }
}

int32_t Vocabulary::byte_token(uint8_t byte) const {
  static constexpr char kHex[] = "0123456789ABCDEF";
  char text[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
  return find(std::string_view(text, sizeof text));
}

int parse_byte_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace verge::engine
