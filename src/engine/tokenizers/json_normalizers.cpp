// Each class is one "type" of tokenizer.json's normalizer, with the semantics of Hugging Face's tokenizers
// library; a Sequence holds others. Text in and out is UTF-8; invalid bytes pass through or become U+FFFD.
#include "engine/tokenizers/json_normalizers.h"

#include <utf8proc.h>

#include <algorithm>

#include "engine/tokenizers/charsmap.h"
#include "engine/tokenizers/json_fields.h"
#include "engine/tokenizers/regex.h"
#include "engine/tokenizers/unicode.h"
#include "engine/tokenizers/wordpiece.h"
#include "support/base64.h"
#include "support/utf8.h"

namespace verge::engine {
namespace {

class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}
  void apply(std::string* text, const Place&) const override { *text = normalize_unicode(*text, form_); }

 private:
  NormalForm form_;
};

class Lowercase final : public Normalizer {
 public:
  void apply(std::string* text, const Place&) const override { *text = lowercase(*text); }
};

// Calls keep(point) for each code point; a byte that is no UTF-8 stays.
template <class Keep>
void filter(std::string* text, Keep&& keep) {
  std::string out;
  out.reserve(text->size());
  for (size_t at = 0; at < text->size();) {
    CodePoint point = code_point_at(*text, at);
    if (!point.valid || keep(point.value)) out.append(*text, at, point.length);
    at += point.length;
  }
  *text = std::move(out);
}

class StripAccents final : public Normalizer {
 public:
  void apply(std::string* text, const Place&) const override {
    filter(text, [](char32_t point) { return !is_mark(point); });
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string* text, const Place&) const override {
    size_t begin = text->size(), end = 0;  // of what is no white space
    for (size_t at = 0; at < text->size();) {
      CodePoint point = code_point_at(*text, at);
      if (!is_whitespace(point.value)) {
        begin = std::min(begin, at);
        end = at + point.length;
      }
      at += point.length;
    }
    if (begin >= end) {
      if (left_ || right_) text->clear();
      return;
    }
    if (right_) text->resize(end);
    if (left_) text->erase(0, begin);
  }

 private:
  bool left_, right_;
};

// The clean-up that SentencePiece's "nmt" rules do: some control characters go, others are spaces.
class Nmt final : public Normalizer {
 public:
  void apply(std::string* text, const Place&) const override {
    filter(text, [](char32_t p) {
      return !((p >= 0x01 && p <= 0x08) || p == 0x0B || (p >= 0x0E && p <= 0x1F) || p == 0x7F || p == 0x8F || p == 0x9F);
    });
    std::string out;
    for (size_t at = 0; at < text->size();) {
      CodePoint point = code_point_at(*text, at);
      char32_t p = point.value;
      bool space = point.valid && (p == 0x09 || p == 0x0A || p == 0x0C || p == 0x0D || p == 0x1680 || (p >= 0x200B && p <= 0x200F) ||
                                   p == 0x2028 || p == 0x2029 || p == 0x2581 || p == 0xFEFF || p == 0xFFFD);
      if (space) {
        out.push_back(' ');
      } else {
        out.append(*text, at, point.length);
      }
      at += point.length;
    }
    *text = std::move(out);
  }
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string* text, const Place&) const override {
    if (!text->empty()) text->insert(0, prefix_);
  }
  bool shortens() const override { return false; }

 private:
  std::string prefix_;
};

class ReplaceText final : public Normalizer {
 public:
  ReplaceText(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void apply(std::string* text, const Place&) const override {
    size_t found = from_.empty() ? std::string::npos : text->find(from_);
    if (found == std::string::npos) return;
    std::string out;
    out.reserve(text->size() * 2);
    size_t at = 0;
    for (; found != std::string::npos; found = text->find(from_, at)) {
      out.append(*text, at, found - at).append(to_);
      at = found + from_.size();
    }
    out.append(*text, at);
    *text = std::move(out);
  }
  bool shortens() const override { return to_.size() < from_.size(); }

 private:
  std::string from_, to_;
};

class ReplaceRegex final : public Normalizer {
 public:
  ReplaceRegex(Regex regex, std::string to) : regex_(std::move(regex)), to_(std::move(to)) {}
  void apply(std::string* text, const Place&) const override {
    std::string valid = is_utf8(*text) ? std::move(*text) : lossy_utf8(*text);
    std::string out;
    size_t at = 0, begin = 0, end = 0;
    for (Regex::Matches matches(regex_, valid); matches.next(&begin, &end); at = end) out.append(valid, at, begin - at).append(to_);
    *text = out.append(valid, at);
  }

 private:
  Regex regex_;
  std::string to_;
};

class ByteLevelText final : public Normalizer {
 public:
  void apply(std::string* text, const Place&) const override {
    std::string out;
    append_byte_level(out, *text);
    *text = std::move(out);
  }
};

// SentencePiece's character map as Hugging Face applies it: grapheme by grapheme, a short grapheme as a whole
// if the map starts with it, else code point by code point.
class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(CharsMap map) : map_(std::move(map)) {}
  void apply(std::string* text, const Place&) const override {
    std::string out;
    out.reserve(text->size());
    std::string_view rest = *text;
    while (!rest.empty()) {
      std::string_view grapheme = rest.substr(0, grapheme_length(rest));
      rest.remove_prefix(grapheme.size());
      if (grapheme.size() < 6) {
        if (auto match = map_.shortest(grapheme); match.length > 0) {
          out += match.replacement;
          continue;
        }
      }
      for (size_t at = 0; at < grapheme.size();) {
        std::string_view character = grapheme.substr(at, code_point_at(grapheme, at).length);
        auto match = map_.shortest(character);
        out += match.length > 0 ? match.replacement : character;
        at += character.size();
      }
    }
    *text = std::move(out);
  }

 private:
  static size_t grapheme_length(std::string_view text) {
    CodePoint point = code_point_at(text, 0);
    size_t at = point.length;
    utf8proc_int32_t state = 0;
    while (point.valid && at < text.size()) {
      CodePoint next = code_point_at(text, at);
      if (!next.valid ||
          utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.value), static_cast<utf8proc_int32_t>(next.value), &state)) {
        break;
      }
      at += next.length;
      point = next;
    }
    return at;
  }
  CharsMap map_;
};

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> parts) : parts_(std::move(parts)) {}
  void apply(std::string* text, const Place& place) const override {
    for (const auto& part : parts_) part->apply(text, place);
  }
  bool shortens() const override {
    for (const auto& part : parts_)
      if (part->shortens()) return true;
    return false;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> parts_;
};

Result<std::unique_ptr<Normalizer>> make_sequence(const json::object& component, int depth) {
  const json::array* list = get_array(component, "normalizers");
  if (!list) return missing_field("the normalizer Sequence", "normalizers");
  std::vector<std::unique_ptr<Normalizer>> parts;
  for (const json::value& item : *list) {
    if (!item.is_object()) return missing_field("the normalizer Sequence", "normalizers");
    VERGE_ASSIGN(part, make_json_normalizer(item.get_object(), depth + 1));
    parts.push_back(std::move(part));
  }
  return std::unique_ptr<Normalizer>(std::make_unique<NormalizerSequence>(std::move(parts)));
}

Result<std::unique_ptr<Normalizer>> make_replace(const json::object& component) {
  auto content = get_string(component, "content");
  const json::object* pattern = get_object(component, "pattern");
  if (!content || !pattern) return missing_field("the normalizer Replace", content ? "pattern" : "content");
  if (auto text = get_string(*pattern, "String")) return std::unique_ptr<Normalizer>(std::make_unique<ReplaceText>(*text, *content));
  VERGE_ASSIGN(source, pattern_of(component));
  VERGE_ASSIGN(regex, Regex::compile(source, true));
  return std::unique_ptr<Normalizer>(std::make_unique<ReplaceRegex>(std::move(regex), *content));
}

}  // namespace

Result<std::string> pattern_of(const json::object& component) {
  const json::object* pattern = get_object(component, "pattern");
  if (pattern) {
    if (auto regex = get_string(*pattern, "Regex")) return *regex;
    if (auto text = get_string(*pattern, "String")) {
      std::string escaped;
      for (char c : *text) {
        if (static_cast<uint8_t>(c) < 0x80 && is_ascii_punctuation(static_cast<char32_t>(c))) escaped += '\\';
        escaped += c;
      }
      return escaped;
    }
  }
  return missing_field(component_type(component), "pattern");
}

Result<std::unique_ptr<Normalizer>> make_json_normalizer(const json::object& component, int depth) {
  using Made = std::unique_ptr<Normalizer>;
  if (depth > 8) return fail(Code::LoadFailed, "tokenizer.json: normalizers nested more than 8 deep");
  const std::string type = component_type(component);
  if (type == "Sequence") return make_sequence(component, depth);
  if (type == "NFC") return Made(std::make_unique<UnicodeForm>(NormalForm::C));
  if (type == "NFD") return Made(std::make_unique<UnicodeForm>(NormalForm::D));
  if (type == "NFKC") return Made(std::make_unique<UnicodeForm>(NormalForm::KC));
  if (type == "NFKD") return Made(std::make_unique<UnicodeForm>(NormalForm::KD));
  if (type == "Lowercase") return Made(std::make_unique<Lowercase>());
  if (type == "StripAccents") return Made(std::make_unique<StripAccents>());
  if (type == "Nmt") return Made(std::make_unique<Nmt>());
  if (type == "ByteLevel") return Made(std::make_unique<ByteLevelText>());
  if (type == "Replace") return make_replace(component);
  if (type == "Strip") {
    return Made(
        std::make_unique<Strip>(get_bool(component, "strip_left").value_or(true), get_bool(component, "strip_right").value_or(true)));
  }
  if (type == "Prepend") {
    auto prefix = get_string(component, "prepend");
    if (!prefix) return missing_field("the normalizer Prepend", "prepend");
    return Made(std::make_unique<Prepend>(*prefix));
  }
  if (type == "Precompiled") {
    auto blob = get_string(component, "precompiled_charsmap");
    if (!blob) return missing_field("the normalizer Precompiled", "precompiled_charsmap");
    const auto bytes = base64_decode(*blob);
    if (!bytes) return fail(Code::LoadFailed, "tokenizer.json: \"precompiled_charsmap\" is not base64");
    VERGE_ASSIGN(map, CharsMap::parse(*bytes));
    return Made(std::make_unique<Precompiled>(std::move(map)));
  }
  if (type == "BertNormalizer") {
    BertNormalizer::Options options;
    options.clean_text = get_bool(component, "clean_text").value_or(true);
    options.split_chinese = get_bool(component, "handle_chinese_chars").value_or(true);
    options.lowercase = get_bool(component, "lowercase").value_or(true);
    options.strip_accents = get_bool(component, "strip_accents").value_or(options.lowercase);
    return Made(std::make_unique<BertNormalizer>(options));
  }
  return unknown_component("normalizer", component);
}

}  // namespace verge::engine
