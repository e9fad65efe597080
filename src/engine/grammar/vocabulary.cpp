#include "engine/grammar/vocabulary.h"

#include <algorithm>

#include "engine/grammar/language.h"
#include "engine/grammar/lexer.h"

namespace verge::engine::grammar {

void ByteTrie::build(std::vector<std::pair<std::string, int32_t>> texts) {
  std::sort(texts.begin(), texts.end());
  nodes.clear();
  tokens.clear();
  std::vector<uint32_t> path;  // nodes of the text before
  std::string_view last;
  for (const auto& [text, token] : texts) {
    size_t common = 0;
    while (common < std::min(last.size(), text.size()) && last[common] == text[common]) ++common;
    while (path.size() > common) {
      nodes[path.back()].end = static_cast<uint32_t>(nodes.size());
      path.pop_back();
    }
    for (size_t i = common; i < text.size(); ++i) {
      path.push_back(static_cast<uint32_t>(nodes.size()));
      nodes.push_back({0, static_cast<uint32_t>(tokens.size()), static_cast<uint16_t>(i + 1), 0, static_cast<uint8_t>(text[i])});
    }
    if (nodes[path.back()].own == UINT16_MAX) continue;
    ++nodes[path.back()].own;
    tokens.push_back(token);
    last = text;
  }
  for (uint32_t n : path) nodes[n].end = static_cast<uint32_t>(nodes.size());
  nodes.push_back({static_cast<uint32_t>(nodes.size() + 1), static_cast<uint32_t>(tokens.size()), 0, 0, 0});
}

TokenBytes::TokenBytes(const Tokenizer& tokenizer, std::vector<int32_t> stops, int32_t rows, std::span<const int32_t> shown)
    : rows_(rows), stops_(std::move(stops)) {
  std::erase_if(stops_, [&](int32_t id) { return id < 0 || id >= rows; });
  const int32_t size = std::min(tokenizer.vocabulary(), rows);
  std::vector<std::pair<std::string, int32_t>> texts, exits;
  offsets_.reserve(static_cast<size_t>(rows) + 1);
  body_.assign(words(), 0);
  leaving_.assign(words(), 0);
  before_exit_.assign(static_cast<size_t>(rows), kNoExit);
  short_bodies_.assign(kShort + 1, body_);
  Languages languages;
  Lexer lexer(languages);
  const uint32_t start = lexer.start(Languages::kAll, true);
  bool told = false;
  for (int32_t id = 0; id < rows; ++id) {
    offsets_.push_back(arena_.size());
    const bool mark = std::find(shown.begin(), shown.end(), id) != shown.end();
    if (id >= size || is_stop(id) || (tokenizer.is_control(id) && !mark)) continue;
    std::string piece = tokenizer.piece(id, mark);
    if (piece.empty() || piece.size() > 1000) continue;
    arena_ += piece;
    longest_ = std::max(longest_, piece.size());
    if (!told && piece.size() > 1 && piece[0] == ' ' && piece[1] > ' ' && piece[1] < 127) {
      told = true;
      drops_space_ = tokenizer.decode({id}) != piece;
    }
    int32_t state = static_cast<int32_t>(start);
    uint16_t characters = 0;
    for (size_t i = 0; i < piece.size() && state >= 0; ++i) {
      if (piece[i] == '"' && lexer.accepts(static_cast<uint32_t>(state))) {
        if (i + 1 == piece.size()) bare_exits_.push_back(id);
        else exits.emplace_back(piece.substr(i + 1), id);
        before_exit_[static_cast<size_t>(id)] = characters;
        leaving_[static_cast<size_t>(id) >> 5] |= 1u << (id & 31);
        state = -1;
        break;
      }
      characters += lexer.accepts(static_cast<uint32_t>(state));  // a character begins
      state = lexer.step(static_cast<uint32_t>(state), static_cast<uint8_t>(piece[i]));
    }
    if (state >= 0) {
      body_[static_cast<size_t>(id) >> 5] |= 1u << (id & 31);
      if (characters > kShort) long_bodies_.emplace_back(characters, id);
      for (uint32_t n = characters; n <= kShort; ++n) short_bodies_[n][static_cast<size_t>(id) >> 5] |= 1u << (id & 31);
    }
    texts.emplace_back(std::move(piece), id);
  }
  offsets_.push_back(arena_.size());
  std::sort(long_bodies_.begin(), long_bodies_.end());
  trie_.build(std::move(texts));
  exits_.build(std::move(exits));
}

std::vector<uint32_t> TokenBytes::body_up_to(uint32_t characters) const {
  if (long_bodies_.empty() ? characters >= kShort : characters >= long_bodies_.back().first) return body_;
  std::vector<uint32_t> out = short_bodies_[std::min(characters, kShort)];
  for (const auto& [length, id] : long_bodies_) {
    if (length > characters) break;
    out[static_cast<size_t>(id) >> 5] |= 1u << (id & 31);
  }
  return out;
}

bool TokenBytes::is_stop(int32_t id) const { return std::find(stops_.begin(), stops_.end(), id) != stops_.end(); }

}  // namespace verge::engine::grammar
