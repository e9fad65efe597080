#include "engine/tokenizers/wordpiece.h"

#include <algorithm>

#include "engine/tokenizers/unicode.h"

namespace verge::engine {

void WordPiece::encode(std::string_view word, SymbolScratch*, std::vector<int32_t>* out) const {
  const size_t before = out->size();
  auto give_up = [&] {
    out->resize(before);
    if (options_.unknown >= 0) out->push_back(options_.unknown);
  };
  if (options_.longest_word > 0) {
    size_t characters = 0;
    for (size_t at = 0; at < word.size(); at += code_point_at(word, at).length) ++characters;
    if (characters > options_.longest_word) return give_up();
  }
  std::string candidate;
  for (size_t begin = 0; begin < word.size();) {
    candidate = begin == 0 ? options_.word_prefix : options_.continuing_prefix;
    const size_t prefix = candidate.size();
    const size_t longest = vocabulary_.longest() > prefix ? vocabulary_.longest() - prefix : 0;
    candidate += word.substr(begin, longest);
    int32_t id = -1;
    while (candidate.size() > prefix) {
      id = vocabulary_.find(candidate);
      if (id >= 0 && vocabulary_.spelled(id)) break;
      id = -1;
      candidate.pop_back();
      while (candidate.size() > prefix && begin + candidate.size() - prefix < word.size() &&
             (static_cast<uint8_t>(word[begin + candidate.size() - prefix]) & 0xC0) == 0x80) {
        candidate.pop_back();  // not inside a character
      }
    }
    if (id < 0) return give_up();
    out->push_back(id);
    begin += candidate.size() - prefix;
  }
}

void BertNormalizer::apply(std::string* text, const Place&) const {
  std::string out;
  out.reserve(text->size() + text->size() / 8);
  for (size_t at = 0; at < text->size();) {
    CodePoint point = code_point_at(*text, at);
    at += point.length;
    if (options_.clean_text) {
      const bool kept = point.value == '\t' || point.value == '\n' || point.value == '\r';
      if (point.value == 0 || point.value == 0xFFFD || (!kept && is_other(point.value))) continue;
      if (is_whitespace(point.value)) {
        out.push_back(' ');
        continue;
      }
    }
    const bool alone = options_.split_chinese && is_chinese(point.value);
    if (alone) out.push_back(' ');
    append_utf8(out, point.value);
    if (alone) out.push_back(' ');
  }
  if (options_.strip_accents) {
    std::string decomposed = normalize_unicode(out, NormalForm::D);
    out.clear();
    for (size_t at = 0; at < decomposed.size();) {
      CodePoint point = code_point_at(decomposed, at);
      if (!is_nonspacing_mark(point.value)) out.append(decomposed, at, point.length);
      at += point.length;
    }
  }
  *text = options_.lowercase ? lowercase(out) : std::move(out);
}

void BertSplitter::apply(Words* words) const {
  std::vector<std::string_view> cut;
  for (std::string_view text : words->list) {
    size_t begin = 0;
    auto close = [&](size_t end) {
      if (end > begin) cut.push_back(text.substr(begin, end - begin));
    };
    for (size_t at = 0; at < text.size();) {
      CodePoint point = code_point_at(text, at);
      size_t next = at + point.length;
      if (is_whitespace(point.value)) {
        close(at);
        begin = next;
      } else if (is_ascii_punctuation(point.value) || is_punctuation(point.value)) {
        close(at);
        cut.push_back(text.substr(at, point.length));
        begin = next;
      }
      at = next;
    }
    close(text.size());
  }
  words->list = std::move(cut);
}

}  // namespace verge::engine
