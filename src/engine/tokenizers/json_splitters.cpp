// Each class is one "type" of tokenizer.json's pre_tokenizer, with the semantics of Hugging Face's tokenizers
// library. ByteLevel rewrites words in GPT-2's alphabet, which what follows it in a Sequence sees; where
// nothing follows, the rewriting is left out and the model maps bytes to tokens directly.
#include "engine/tokenizers/json_splitters.h"

#include "engine/tokenizers/json_fields.h"
#include "engine/tokenizers/pretokenize.h"
#include "engine/tokenizers/unicode.h"
#include "engine/tokenizers/wordpiece.h"

namespace verge::engine {
namespace {

using Made = std::unique_ptr<Splitter>;

// Cuts at the code points of a class.
template <class IsMatch>
class CharacterSplitter final : public Splitter {
 public:
  CharacterSplitter(IsMatch is_match, SplitBehavior behavior) : is_match_(is_match), behavior_(behavior) {}
  void apply(Words* words) const override {
    std::vector<std::string_view> cut;
    std::vector<Stretch> stretches;
    for (std::string_view text : words->list) {
      stretches.clear();
      size_t rest = 0;
      for (size_t at = 0; at < text.size();) {
        CodePoint point = code_point_at(text, at);
        if (point.valid && is_match_(point.value)) {
          if (at > rest) stretches.push_back({rest, at, false});
          stretches.push_back({at, at + point.length, true});
          rest = at + point.length;
        }
        at += point.length;
      }
      if (rest < text.size()) stretches.push_back({rest, text.size(), false});
      apply_behavior(text, stretches, behavior_, &cut);
    }
    words->list = std::move(cut);
  }
  bool removes() const override { return behavior_ == SplitBehavior::Removed; }

 private:
  IsMatch is_match_;
  SplitBehavior behavior_;
};

template <class IsMatch>
Made split_characters(IsMatch is_match, SplitBehavior behavior) {
  return std::make_unique<CharacterSplitter<IsMatch>>(is_match, behavior);
}

class PrefixSpace final : public Splitter {
 public:
  void apply(Words* words) const override {
    for (std::string_view& word : words->list) {
      if (!word.starts_with(' ')) word = words->own(" " + std::string(word));
    }
  }
  bool removes() const override { return false; }
};

class ByteLevelWords final : public Splitter {
 public:
  void apply(Words* words) const override {
    for (std::string_view& word : words->list) {
      std::string text;
      append_byte_level(text, word);
      word = words->own(std::move(text));
    }
  }
  bool removes() const override { return false; }
};

class Metaspace final : public Splitter {
 public:
  enum class Scheme { Never, First, Always };
  Metaspace(std::string replacement, Scheme scheme, bool split) : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}
  void apply(Words* words) const override {
    std::vector<std::string_view> cut;
    for (size_t i = 0; i < words->list.size(); ++i) {
      std::string text;
      text.reserve(words->list[i].size() * 2);
      for (char c : words->list[i]) {
        if (c == ' ') {
          text += replacement_;
        } else {
          text += c;
        }
      }
      const bool prefix = scheme_ == Scheme::Always || (scheme_ == Scheme::First && i == 0 && words->first);
      if (prefix && !text.starts_with(replacement_)) text.insert(0, replacement_);
      std::string_view word = words->own(std::move(text));
      if (!split_) {
        cut.push_back(word);
        continue;
      }
      size_t begin = 0;
      for (size_t at = word.find(replacement_, 1); at != std::string_view::npos; at = word.find(replacement_, at + 1)) {
        cut.push_back(word.substr(begin, at - begin));
        begin = at;
      }
      if (begin < word.size()) cut.push_back(word.substr(begin));
    }
    words->list = std::move(cut);
  }
  bool removes() const override { return replacement_.empty(); }

 private:
  std::string replacement_;
  Scheme scheme_;
  bool split_;
};

class FixedLength final : public Splitter {
 public:
  explicit FixedLength(size_t length) : length_(length) {}
  void apply(Words* words) const override {
    std::vector<std::string_view> cut;
    for (std::string_view text : words->list) {
      size_t begin = 0, count = 0;
      for (size_t at = 0; at < text.size();) {
        at += code_point_at(text, at).length;
        if (++count % length_ != 0 && at < text.size()) continue;
        cut.push_back(text.substr(begin, at - begin));
        begin = at;
      }
    }
    words->list = std::move(cut);
  }

 private:
  size_t length_;
};

Result<SplitBehavior> behavior_of(const json::object& component, std::string_view standard) {
  const std::string name = get_string(component, "behavior").value_or(std::string(standard));
  if (name == "Removed") return SplitBehavior::Removed;
  if (name == "Isolated") return SplitBehavior::Isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::MergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::MergedWithNext;
  if (name == "Contiguous") return SplitBehavior::Contiguous;
  return fail(Code::LoadFailed, "tokenizer.json: the split behavior \"{}\" is not supported", name.substr(0, 64));
}

class Maker {
 public:
  Result<void> add(const json::object& component, int depth) {
    const std::string type = component_type(component);
    if (depth > 8) return fail(Code::LoadFailed, "tokenizer.json: pre-tokenizers nested more than 8 deep");
    if (type == "Sequence") return add_sequence(component, depth);
    if (type == "ByteLevel") return add_byte_level(component);
    if (type == "Split") return add_split(component);
    if (type == "Metaspace") return add_metaspace(component);
    if (type == "BertPreTokenizer") {
      put(std::make_unique<BertSplitter>());
    } else if (type == "Whitespace") {
      return add_whitespace();
    } else if (type == "WhitespaceSplit") {
      put(split_characters([](char32_t p) { return is_whitespace(p); }, SplitBehavior::Removed));
    } else if (type == "Punctuation") {
      VERGE_ASSIGN(behavior, behavior_of(component, "Isolated"));
      put(split_characters([](char32_t p) { return is_ascii_punctuation(p) || is_punctuation(p); }, behavior));
    } else if (type == "Digits") {
      const bool single = get_bool(component, "individual_digits").value_or(false);
      put(split_characters([](char32_t p) { return is_number(p); }, single ? SplitBehavior::Isolated : SplitBehavior::Contiguous));
    } else if (type == "CharDelimiterSplit") {
      auto delimiter = get_string(component, "delimiter");
      if (!delimiter || delimiter->empty()) return missing_field("the pre-tokenizer CharDelimiterSplit", "delimiter");
      char32_t point = code_point_at(*delimiter, 0).value;
      put(split_characters([point](char32_t p) { return p == point; }, SplitBehavior::Removed));
    } else if (type == "FixedLength") {
      int64_t length = get_int(component, "length").value_or(5);
      if (length < 1) return missing_field("the pre-tokenizer FixedLength", "length");
      put(std::make_unique<FixedLength>(static_cast<size_t>(length)));
    } else {
      return unknown_component("pre-tokenizer", component);
    }
    return {};
  }

  JsonSplitter finish(bool bytes_allowed) {
    JsonSplitter made;
    made.byte_words = bytes_last_ && bytes_allowed;
    if (made.byte_words) parts_.pop_back();
    if (parts_.size() == 1) {
      made.splitter = std::move(parts_[0]);
    } else if (!parts_.empty()) {
      made.splitter = std::make_unique<SplitterSequence>(std::move(parts_));
    }
    return made;
  }

 private:
  void put(Made part, bool bytes = false) {
    parts_.push_back(std::move(part));
    bytes_last_ = bytes;
  }

  Result<void> put_regex(std::string_view pattern, SplitBehavior behavior, bool invert, bool ruby) {
    VERGE_ASSIGN(regex, Regex::compile(pattern, ruby));
    put(std::make_unique<RegexSplitter>(std::move(regex), behavior, invert));
    return {};
  }

  Result<void> add_sequence(const json::object& component, int depth) {
    const json::array* list = get_array(component, "pretokenizers");
    if (!list) return missing_field("the pre-tokenizer Sequence", "pretokenizers");
    for (const json::value& item : *list) {
      if (!item.is_object()) return missing_field("the pre-tokenizer Sequence", "pretokenizers");
      VERGE_TRY(add(item.get_object(), depth + 1));
    }
    return {};
  }

  Result<void> add_byte_level(const json::object& component) {
    if (get_bool(component, "add_prefix_space").value_or(true)) put(std::make_unique<PrefixSpace>());
    if (get_bool(component, "use_regex").value_or(true)) {
      VERGE_TRY(put_regex(find_pre_tokenizer("gpt-2")->patterns[0], SplitBehavior::Isolated, false, false));
    }
    put(std::make_unique<ByteLevelWords>(), true);
    return {};
  }

  Result<void> add_split(const json::object& component) {
    VERGE_ASSIGN(pattern, pattern_of(component));
    VERGE_ASSIGN(behavior, behavior_of(component, "Isolated"));
    return put_regex(pattern, behavior, get_bool(component, "invert").value_or(false), true);
  }

  // Words of \w as Rust's regex has it, and runs of what is neither that nor white space.
  Result<void> add_whitespace() {
    constexpr std::string_view kPattern =
        R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+|[^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+)";
    return put_regex(kPattern, SplitBehavior::Removed, true, false);
  }

  Result<void> add_metaspace(const json::object& component) {
    std::string scheme = get_string(component, "prepend_scheme").value_or("always");
    if (!get_string(component, "prepend_scheme") && get_bool(component, "add_prefix_space") == false) scheme = "never";
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      return fail(Code::LoadFailed, "tokenizer.json: the prepend_scheme \"{}\" is not supported", scheme.substr(0, 64));
    }
    auto value = scheme == "always" ? Metaspace::Scheme::Always : scheme == "first" ? Metaspace::Scheme::First : Metaspace::Scheme::Never;
    std::string replacement = get_string(component, "replacement").value_or(std::string(kSpaceSymbol));
    if (replacement.empty()) return missing_field("the pre-tokenizer Metaspace", "replacement");
    put(std::make_unique<Metaspace>(std::move(replacement), value, get_bool(component, "split").value_or(true)));
    return {};
  }

  std::vector<Made> parts_;
  bool bytes_last_ = false;
};

}  // namespace

Result<JsonSplitter> make_json_splitter(const json::object& component, bool bytes_allowed) {
  Maker maker;
  VERGE_TRY(maker.add(component, 0));
  return maker.finish(bytes_allowed);
}

}  // namespace verge::engine
