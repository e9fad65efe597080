// tokenizer.json names its parts: normalizer, pre_tokenizer, model, post_processor, decoder, added_tokens. Each
// becomes the part of a Pipeline that has the same meaning. tokenizer_config.json beside it says which
// tokens begin and end a text, and for some classes (Llama's, Gemma's) whether they are put there, which then
// goes before the post-processor, as in transformers.
#include "engine/tokenizers/tokenizer_json.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/formats/config_json.h"
#include "engine/formats/model_file.h"
#include "engine/tokenizers/bpe.h"
#include "engine/tokenizers/json_decoder.h"
#include "engine/tokenizers/json_fields.h"
#include "engine/tokenizers/json_normalizers.h"
#include "engine/tokenizers/json_splitters.h"
#include "engine/tokenizers/pipeline.h"
#include "engine/tokenizers/sentencepiece.h"
#include "engine/tokenizers/unigram.h"
#include "engine/tokenizers/wordpiece.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

// A word is a token or it is unknown.
class WordLevel final : public WordModel {
 public:
  WordLevel(const Vocabulary& vocabulary, int32_t unknown) : vocabulary_(vocabulary), unknown_(unknown) {}
  void encode(std::string_view word, SymbolScratch*, std::vector<int32_t>* out) const override {
    int32_t id = vocabulary_.find(word);
    if (id < 0) id = unknown_;
    if (id >= 0) out->push_back(id);
  }

 private:
  const Vocabulary& vocabulary_;
  int32_t unknown_;
};

// "bos_token": a string, or an added token as an object.
std::string token_text(const json::object& config, std::string_view key) {
  if (auto text = get_string(config, key)) return *text;
  const json::object* token = get_object(config, key);
  return token ? get_string(*token, "content").value_or("") : "";
}

class Builder {
 public:
  explicit Builder(const ModelFile& file) : file_(file) {}

  Result<std::unique_ptr<Tokenizer>> build() {
    if (file_.tokenizer_json.size() > limits::kTokenizerJsonBytes) {
      return fail(Code::LoadFailed, "tokenizer.json: {} bytes, limit {}", file_.tokenizer_json.size(), limits::kTokenizerJsonBytes);
    }
    auto parsed = parse_config_json(file_.tokenizer_json);
    if (!parsed) return fail(Code::LoadFailed, "tokenizer.json: {}", parsed.error().message);
    document_ = std::move(*parsed);
    if (!document_.is_object()) return fail(Code::LoadFailed, "tokenizer.json: not an object");
    const json::object& root = document_.get_object();
    const json::object* model = get_object(root, "model");
    if (!model) return missing_field("the file", "model");
    VERGE_TRY(read_vocabulary(root, *model));
    if (const json::object* normalizer = get_object(root, "normalizer")) {
      VERGE_ASSIGN(made, make_json_normalizer(*normalizer));
      pipeline_->normalizer = std::move(made);
    }
    const bool bpe = model_type_ == "BPE";
    const bool affixes = !get_string(*model, "continuing_subword_prefix").value_or("").empty() ||
                         !get_string(*model, "end_of_word_suffix").value_or("").empty();
    bool byte_words = false;
    if (const json::object* splitter = get_object(root, "pre_tokenizer")) {
      VERGE_ASSIGN(made, make_json_splitter(*splitter, bpe && !affixes));
      pipeline_->splitter = std::move(made.splitter);
      byte_words = made.byte_words;
    }
    VERGE_TRY(make_model(*model, byte_words));
    VERGE_TRY(decode_pieces(root));
    make_special_tokens();
    if (const json::object* processor = get_object(root, "post_processor")) VERGE_TRY(read_post_processor(*processor, 0));
    VERGE_TRY(read_config());
    return std::unique_ptr<Tokenizer>(std::move(pipeline_));
  }

 private:
  struct Added {
    SpecialToken token;
    bool normalized = false;
  };
  Vocabulary& vocabulary() { return *pipeline_->tokens; }

  // Collects (text, id, score) of the model's vocabulary and of the added tokens; ids may leave holes.
  Result<void> read_vocabulary(const json::object& root, const json::object& model) {
    model_type_ = get_string(model, "type").value_or("");
    struct Entry {
      std::string_view text;
      double score = 0;
      TokenKind kind = TokenKind::Normal;
    };
    std::vector<Entry> entries;
    auto place = [&](int64_t id, Entry entry) -> Result<void> {
      if (id < 0 || id >= static_cast<int64_t>(limits::kVocabulary)) {
        return fail(Code::LoadFailed, "tokenizer.json: id {} of \"{}\" is out of range", id, entry.text.substr(0, 64));
      }
      if (static_cast<size_t>(id) >= entries.size()) entries.resize(static_cast<size_t>(id) + 1);
      Entry& slot = entries[static_cast<size_t>(id)];
      if (!slot.text.empty() && slot.text != entry.text) {
        return fail(Code::LoadFailed, "tokenizer.json: \"{}\" and \"{}\" have the same id {}", slot.text.substr(0, 64),
                    entry.text.substr(0, 64), id);
      }
      slot = entry;
      return {};
    };
    if (const json::object* map = get_object(model, "vocab")) {
      if (map->size() > limits::kVocabulary)
        return fail(Code::LoadFailed, "tokenizer.json: {} tokens, limit {}", map->size(), limits::kVocabulary);
      entries.reserve(map->size());
      for (const auto& [text, id] : *map) {
        if (!id.is_int64()) return missing_field("the vocabulary", text);
        VERGE_TRY(place(id.get_int64(), {text}));
      }
      if (model_type_.empty()) model_type_ = get_array(model, "merges") ? "BPE" : "WordPiece";  // files before the field was there
    } else if (const json::array* list = get_array(model, "vocab")) {
      if (list->size() > limits::kVocabulary)
        return fail(Code::LoadFailed, "tokenizer.json: {} tokens, limit {}", list->size(), limits::kVocabulary);
      if (model_type_.empty()) model_type_ = "Unigram";
      entries.reserve(list->size());
      for (const json::value& item : *list) {
        const json::array* pair = item.if_array();
        if (!pair || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_number()) {
          return missing_field(fmt::format("piece {} of the vocabulary", entries.size()), "[text, score]");
        }
        entries.push_back({(*pair)[0].get_string(), (*pair)[1].to_number<double>()});
      }
    } else {
      return missing_field("the model", "vocab");
    }
    VERGE_TRY(read_added_tokens(root));
    for (const Added& added : added_) {
      VERGE_TRY(place(
          added.token.id,
          {added.token.text, static_cast<size_t>(added.token.id) < entries.size() ? entries[static_cast<size_t>(added.token.id)].score : 0,
           added.token.special ? TokenKind::Control : TokenKind::UserDefined}));
    }
    size_t bytes = 0;
    for (const Entry& entry : entries) bytes += entry.text.size();
    vocabulary().reserve(entries.size(), bytes);
    for (const Entry& entry : entries) VERGE_TRY(vocabulary().add(entry.text, entry.kind, entry.score));
    return {};
  }

  Result<void> read_added_tokens(const json::object& root) {
    const json::array* list = get_array(root, "added_tokens");
    if (!list) return {};
    for (const json::value& item : *list) {
      const json::object* token = item.if_object();
      auto id = token ? get_int(*token, "id") : std::nullopt;
      auto text = token ? get_string(*token, "content") : std::nullopt;
      if (!id || !text || *id < 0 || *id >= static_cast<int64_t>(limits::kVocabulary))
        return missing_field("an added token", id ? "content" : "id");
      if (text->empty()) continue;
      Added added;
      added.token = {.text = *text,
                     .id = static_cast<int32_t>(*id),
                     .special = get_bool(*token, "special").value_or(false),
                     .strip_left = get_bool(*token, "lstrip").value_or(false),
                     .strip_right = get_bool(*token, "rstrip").value_or(false),
                     .single_word = get_bool(*token, "single_word").value_or(false)};
      added.normalized = get_bool(*token, "normalized").value_or(!added.token.special);
      added_.push_back(std::move(added));
    }
    return {};
  }

  Result<int32_t> unknown_of(const json::object& model) {
    auto text = get_string(model, "unk_token");
    if (!text) return -1;
    int32_t id = vocabulary().find(*text);
    if (id < 0) return fail(Code::LoadFailed, "tokenizer.json: \"unk_token\" \"{}\" is no token", text->substr(0, 64));
    return id;
  }

  Result<void> make_model(const json::object& model, bool byte_words) {
    if (model_type_ == "BPE") return make_bpe(model, byte_words);
    if (model_type_ == "WordPiece") {
      VERGE_ASSIGN(unknown, unknown_of(model));
      int64_t longest = get_int(model, "max_input_chars_per_word").value_or(100);
      pipeline_->model = std::make_unique<WordPiece>(
          vocabulary(), WordPiece::Options{.unknown = unknown,
                                           .word_prefix = "",
                                           .continuing_prefix = get_string(model, "continuing_subword_prefix").value_or("##"),
                                           .longest_word = static_cast<size_t>(std::max<int64_t>(longest, 1))});
      return {};
    }
    if (model_type_ == "WordLevel") {
      VERGE_ASSIGN(unknown, unknown_of(model));
      pipeline_->model = std::make_unique<WordLevel>(vocabulary(), unknown);
      return {};
    }
    if (model_type_ == "Unigram") {
      auto unknown = get_int(model, "unk_id");
      if (unknown && !vocabulary().contains(*unknown)) return fail(Code::LoadFailed, "tokenizer.json: \"unk_id\" {} is no token", *unknown);
      pipeline_->model =
          std::make_unique<Unigram>(vocabulary(), Unigram::Options{.unknown = static_cast<int32_t>(unknown.value_or(-1)),
                                                                   .byte_fallback = get_bool(model, "byte_fallback").value_or(false)});
      return {};
    }
    return fail(Code::LoadFailed, "tokenizer.json: the model \"{}\" is not supported", model_type_.substr(0, 64));
  }

  Result<void> make_bpe(const json::object& model, bool byte_words) {
    BpeOptions options;
    options.byte_level = byte_words;
    options.ignore_merges = get_bool(model, "ignore_merges").value_or(false);
    options.byte_fallback = get_bool(model, "byte_fallback").value_or(false);
    options.fuse_unknown = get_bool(model, "fuse_unk").value_or(false);
    options.continuing_prefix = get_string(model, "continuing_subword_prefix").value_or("");
    options.word_suffix = get_string(model, "end_of_word_suffix").value_or("");
    VERGE_ASSIGN(unknown, unknown_of(model));
    options.unknown = unknown;
    const json::array* list = get_array(model, "merges");
    if (!list) return missing_field("the model BPE", "merges");
    std::vector<std::pair<std::string_view, std::string_view>> merges;
    merges.reserve(list->size());
    for (const json::value& item : *list) {
      if (const json::string* text = item.if_string()) {
        std::string_view merge(*text);
        size_t space = merge.find(' ');
        if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
          return fail(Code::LoadFailed, "tokenizer.json: merge {} (\"{}\") is not two tokens", merges.size(), merge.substr(0, 64));
        }
        merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
      } else if (const json::array* pair = item.if_array(); pair && pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_string()) {
        merges.emplace_back(std::string_view((*pair)[0].get_string()), std::string_view((*pair)[1].get_string()));
      } else {
        return fail(Code::LoadFailed, "tokenizer.json: merge {} is not two tokens", merges.size());
      }
    }
    // Without a pre-tokenizer a whole text is one word. Where spaces have become U+2581 by then, it may be cut as
    // SentencePiece's is, which changes no id and lets words be remembered.
    if (!pipeline_->splitter && !byte_words && !options.ignore_merges && options.word_suffix.empty() && options.continuing_prefix.empty()) {
      pipeline_->splitter = std::make_unique<SpaceSymbolSplitter>(vocabulary());
    }
    VERGE_ASSIGN(bpe, Bpe::make(vocabulary(), merges, std::move(options)));
    pipeline_->model = std::move(bpe);
    return {};
  }

  Result<void> decode_pieces(const json::object& root) {
    VERGE_ASSIGN(decoder, make_json_decoder(get_object(root, "decoder")));
    pipeline_->drop_leading_space = decoder.drop_leading_space;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      pipeline_->pieces.add(decoder.piece(vocabulary().text(id), vocabulary().kind(id) != TokenKind::Normal));
    }
    return {};
  }

  // Tokens marked "normalized" are searched for in the normalised text, in their normalised form.
  void make_special_tokens() {
    std::vector<SpecialToken> raw, normalized;
    for (const Added& added : added_) {
      SpecialToken token = added.token;
      token.special = guards_a_turn(token.text, token.id, token.special, file_.stop_ids);
      if (!added.normalized || !pipeline_->normalizer) {
        raw.push_back(std::move(token));
        continue;
      }
      pipeline_->normalizer->apply(&token.text, {});
      if (!token.text.empty()) normalized.push_back(std::move(token));
    }
    pipeline_->special = SpecialTokens(std::move(raw), SpecialTokens::Order::LeftmostLongest);
    pipeline_->special_normalized = SpecialTokens(std::move(normalized), SpecialTokens::Order::LeftmostLongest);
  }

  Result<void> wrap(const json::object& component, std::string_view key, bool before) {
    const json::array* pair = get_array(component, key);
    if (!pair || pair->size() != 2 || !(*pair)[1].is_int64()) return missing_field(component_type(component), key);
    return put_id((*pair)[1].get_int64(), before);
  }

  Result<void> put_id(int64_t id, bool before) {
    if (!vocabulary().contains(id)) return fail(Code::LoadFailed, "tokenizer.json: the post-processor's id {} is no token", id);
    if (before) {
      pipeline_->prefix.push_back(static_cast<int32_t>(id));
    } else {
      pipeline_->suffix.push_back(static_cast<int32_t>(id));
    }
    return {};
  }

  Result<void> read_post_processor(const json::object& component, int depth) {
    const std::string type = component_type(component);
    if (depth > 8) return fail(Code::LoadFailed, "tokenizer.json: post-processors nested more than 8 deep");
    if (type == "ByteLevel") return {};  // offsets only
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      VERGE_TRY(wrap(component, "cls", true));
      return wrap(component, "sep", false);
    }
    if (type == "Sequence") {
      const json::array* list = get_array(component, "processors");
      if (!list) return missing_field("the post-processor Sequence", "processors");
      for (const json::value& item : *list) {
        if (!item.is_object()) return missing_field("the post-processor Sequence", "processors");
        VERGE_TRY(read_post_processor(item.get_object(), depth + 1));
      }
      return {};
    }
    if (type != "TemplateProcessing") return unknown_component("post-processor", component);
    const json::array* list = get_array(component, "single");
    const json::object* ids_by_name = get_object(component, "special_tokens");
    if (!list) return missing_field("the post-processor TemplateProcessing", "single");
    bool before = true;
    for (const json::value& item : *list) {
      const json::object* piece = item.if_object();
      if (piece && get_object(*piece, "Sequence")) {
        before = false;
        continue;
      }
      const json::object* special = piece ? get_object(*piece, "SpecialToken") : nullptr;
      auto name = special ? get_string(*special, "id") : std::nullopt;
      const json::object* entry = name && ids_by_name ? get_object(*ids_by_name, *name) : nullptr;
      const json::array* ids = entry ? get_array(*entry, "ids") : nullptr;
      if (!ids) return missing_field("the post-processor TemplateProcessing", "special_tokens");
      for (const json::value& id : *ids) {
        if (!id.is_int64()) return missing_field("the post-processor TemplateProcessing", "ids");
        VERGE_TRY(put_id(id.get_int64(), before));
      }
    }
    return {};
  }

  Result<void> read_config() {
    auto id_of = [&](const json::object* config, std::string_view key, const char* meta) -> int32_t {
      std::string text = config ? token_text(*config, key) : "";
      if (int32_t id = vocabulary().find(text); id >= 0) return id;
      int64_t id = file_.integer(meta).value_or(-1);
      return vocabulary().contains(id) ? static_cast<int32_t>(id) : -1;
    };
    json::value parsed;
    if (!file_.tokenizer_config.empty()) {
      auto config = parse_config_json(file_.tokenizer_config);
      if (!config) return fail(Code::LoadFailed, "tokenizer_config.json: {}", config.error().message);
      parsed = std::move(*config);
    }
    const json::object* config = parsed.if_object();
    pipeline_->bos_id = id_of(config, "bos_token", "tokenizer.ggml.bos_token_id");
    pipeline_->eos_id = id_of(config, "eos_token", "tokenizer.ggml.eos_token_id");
    if (pipeline_->bos_id < 0 && !pipeline_->prefix.empty()) pipeline_->bos_id = pipeline_->prefix[0];
    if (pipeline_->eos_id < 0 && !pipeline_->suffix.empty()) pipeline_->eos_id = pipeline_->suffix.back();
    if (!config) return {};
    // Classes whose constructor writes the post-processor anew.
    const std::string name = get_string(*config, "tokenizer_class").value_or("");
    const bool rewrites =
        std::any_of(std::begin(kRewriting), std::end(kRewriting), [&](std::string_view start) { return name.starts_with(start); });
    if (!rewrites) return {};
    pipeline_->prefix.clear();
    pipeline_->suffix.clear();
    if (get_bool(*config, "add_bos_token").value_or(true) && pipeline_->bos_id >= 0) pipeline_->prefix = {pipeline_->bos_id};
    if (get_bool(*config, "add_eos_token").value_or(false) && pipeline_->eos_id >= 0) pipeline_->suffix = {pipeline_->eos_id};
    return {};
  }

  static constexpr std::string_view kRewriting[] = {"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer"};

  const ModelFile& file_;
  json::value document_;
  std::string model_type_;
  std::vector<Added> added_;
  std::unique_ptr<Pipeline> pipeline_ = std::make_unique<Pipeline>();
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_json_tokenizer(const ModelFile& file) { return Builder(file).build(); }

}  // namespace verge::engine
