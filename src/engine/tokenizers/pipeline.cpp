#include "engine/tokenizers/pipeline.h"

#include <algorithm>
#include <bit>

namespace verge::engine {

// Remembers where in the output the ids of recent words stand: a text repeats its words, and copying ids is
// some twenty times cheaper than merging. Direct-mapped and of fixed size; it lives for one encode().
class Pipeline::WordCache {
 public:
  explicit WordCache(size_t text_bytes) {
    if (text_bytes >= 512) entries_.resize(std::clamp<size_t>(std::bit_ceil(text_bytes / 8), 64, 16384));
  }

  template <class Encode>
  void encode(std::string_view word, std::vector<int32_t>* out, Encode&& encode_word) {
    if (entries_.empty() || word.size() > kLongestWord) return encode_word();
    Entry& entry = entries_[hash_bytes(word) & (entries_.size() - 1)];
    if (entry.length == word.size() && std::equal(word.begin(), word.end(), entry.text)) {
      size_t at = out->size();
      out->resize(at + entry.count);
      std::copy_n(out->begin() + entry.begin, entry.count, out->begin() + static_cast<ptrdiff_t>(at));
      return;
    }
    size_t begin = out->size();
    encode_word();
    size_t count = out->size() - begin;
    if (count > UINT16_MAX || begin > UINT32_MAX) return;
    std::copy(word.begin(), word.end(), entry.text);
    entry.length = static_cast<uint16_t>(word.size());
    entry.count = static_cast<uint16_t>(count);
    entry.begin = static_cast<uint32_t>(begin);
  }

 private:
  static constexpr size_t kLongestWord = 40;  // bytes; longer words hardly repeat
  struct Entry {
    char text[kLongestWord];
    uint16_t length = 0;  // 0: empty, as no word is
    uint16_t count = 0;
    uint32_t begin = 0;
  };
  std::vector<Entry> entries_;
};

struct Pipeline::Encoding {
  Encoding(size_t text_bytes, size_t most) : cache(text_bytes), most_tokens(most) {}

  std::vector<int32_t> out;
  WordCache cache;
  SymbolScratch scratch;
  size_t most_tokens;

  bool over() const { return out.size() > most_tokens; }
};

void Pipeline::encode_words(std::string_view text, bool first, Encoding* to) const {
  if (text.empty()) return;
  auto encode_word = [&](std::string_view word) {
    if (word.empty()) return;
    if (!cache_words) return model->encode(word, &to->scratch, &to->out);
    to->cache.encode(word, &to->out, [&] { model->encode(word, &to->scratch, &to->out); });
  };
  if (!splitter) return encode_word(text);
  Words words;
  words.first = first;
  words.list.push_back(text);
  splitter->apply(&words);
  for (std::string_view word : words.list) {
    if (to->over()) return;
    encode_word(word);
  }
}

// Where the foreign ranges of `text` lie once it is normalised: its parts are normalised one by
// one, each behind the character before it, as what is done to the start of a text is not done to
// them. Nothing where the parts together are not the whole (a rule that looks further across their
// borders).
std::optional<std::vector<TextRange>> Pipeline::normalized_ranges(
    std::string_view text, const Normalizer::Place& place, std::span<const TextRange> foreign,
    std::string_view normalized) const {
  ForeignText parts;
  const auto normal = [&](size_t begin, size_t end) {
    std::string part(text.substr(begin, end - begin));
    normalizer->apply(&part, place);
    return part;
  };
  const auto add = [&](size_t begin, size_t end, bool is_foreign) {
    if (begin == end) return;
    size_t before = begin;
    while (before > 0 && (static_cast<uint8_t>(text[--before]) & 0xC0) == 0x80) {}
    const std::string context = before < begin ? normal(before, begin) : std::string(),
                      both = normal(before, end);
    if (!both.starts_with(context)) return;  // parts.text will tell
    const std::string_view part = std::string_view(both).substr(context.size());
    if (is_foreign) parts.append_foreign(part);
    else parts += part;
  };
  size_t at = 0;
  for (const TextRange& range : foreign) {
    add(at, range.begin, false);
    add(range.begin, range.end, true);
    at = range.end;
  }
  add(at, text.size(), false);
  if (parts.text != normalized) return std::nullopt;
  return std::move(parts.foreign);
}

// `foreign` as EncodeOptions has it, of this text.
void Pipeline::encode_fragment(std::string_view text, Normalizer::Place place, bool parse_special,
                               std::span<const TextRange> foreign, Encoding* to) const {
  const std::string_view original = text;
  std::string normalized;
  if (normalizer) {
    normalized = text;
    normalizer->apply(&normalized, place);
    text = normalized;
  }
  if (special_normalized.empty()) return encode_words(text, place.first, to);
  std::vector<Fragment> fragments;
  special_normalized.partition(text, parse_special,
                               normalizer ? std::span<const TextRange>() : foreign, &fragments);
  const bool any =
      std::any_of(fragments.begin(), fragments.end(), [](const Fragment& f) { return f.special; });
  if (normalizer && !foreign.empty() && any) {
    const auto ranges = normalized_ranges(original, place, foreign, text);
    fragments.clear();
    special_normalized.partition(text, ranges.has_value(),
                                 ranges.value_or(std::vector<TextRange>()), &fragments);
  }
  bool first = place.first;
  for (const Fragment& fragment : fragments) {
    if (to->over()) return;
    if (fragment.id >= 0) {
      to->out.push_back(fragment.id);
    } else {
      encode_words(fragment.text, first, to);
    }
    first = false;
  }
}

std::vector<int32_t> Pipeline::encode(std::string_view text, const EncodeOptions& options) const {
  Encoding to(text.size(), options.most_tokens);
  to.out.reserve(std::min(text.size() / 3, options.most_tokens) + prefix.size() + suffix.size());
  if (options.add_special) to.out = prefix;
  std::vector<Fragment> fragments;
  special.partition(text, options.parse_special, options.foreign, &fragments);
  Normalizer::Place place;
  for (const Fragment& fragment : fragments) {
    if (to.over()) break;
    if (fragment.id >= 0) {
      to.out.push_back(fragment.id);
      place.after_special = true;
    } else {
      // Only tokens that are matched on normalised text still ask where the foreign bytes are.
      ForeignText part;
      if (!special_normalized.empty() && !options.foreign.empty()) {
        part.append(fragment.text, options.foreign,
                    static_cast<size_t>(fragment.text.data() - text.data()));
      }
      encode_fragment(fragment.text, place, options.parse_special, part.foreign, &to);
      place.after_special = false;
    }
    place.first = false;
  }
  if (options.add_special) to.out.insert(to.out.end(), suffix.begin(), suffix.end());
  return std::move(to.out);
}

size_t Pipeline::least_tokens(std::string_view text) const {
  const bool shortens = (normalizer && normalizer->shortens()) || (splitter && splitter->removes()) || special.strips() || special_normalized.strips();
  return shortens || tokens->longest() == 0 ? 0 : model->kept_bytes(text) / tokens->longest();
}

bool Pipeline::is_control(int32_t id) const {
  if (!tokens->contains(id)) return false;
  TokenKind kind = tokens->kind(id);
  return kind == TokenKind::Control || kind == TokenKind::Unknown;
}

std::string Pipeline::piece(int32_t id, bool special_too) const {
  if (!tokens->contains(id) || (!special_too && is_control(id))) return "";
  return std::string(pieces.at(id));
}

std::string Pipeline::decode(const std::vector<int32_t>& ids, bool special_too) const {
  std::string out;
  bool at_start = drop_leading_space;
  for (int32_t id : ids) {
    if (!tokens->contains(id) || (!special_too && is_control(id))) continue;
    std::string_view bytes = pieces.at(id);
    if (at_start && bytes.starts_with(' ')) bytes.remove_prefix(1);
    at_start = false;
    out += bytes;
  }
  return out;
}

}  // namespace verge::engine
