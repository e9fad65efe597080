// From GGUF's keys to a Pipeline. What a file leaves out takes the default that files of its kind were
// written for (llama.cpp's converters and loader); what it says and is not known here is LoadFailed.
#include "engine/tokenizers/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <string>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/bpe.h"
#include "engine/tokenizers/pipeline.h"
#include "engine/tokenizers/pretokenize.h"
#include "engine/tokenizers/sentencepiece.h"
#include "engine/tokenizers/unicode.h"
#include "engine/tokenizers/unigram.h"
#include "engine/tokenizers/wordpiece.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::engine {
namespace {

constexpr std::string_view kKey = "tokenizer.ggml.";

// Texts that are control tokens whatever kind the file gives them: converters have marked them wrongly.
constexpr std::string_view kControlTexts[] = {"<|eot_id|>",
                                              "<|im_end|>",
                                              "<|end|>",
                                              "<|return|>",
                                              "<|call|>",
                                              "<|flush|>",
                                              "<|calls|>",
                                              "<end_of_turn>",
                                              "<|endoftext|>",
                                              "</s>",
                                              "<|eom_id|>",
                                              "<EOT>",
                                              "_<EOT>",
                                              "[EOT]",
                                              "[EOS]",
                                              "<|end_of_text|>",
                                              "<end_of_utterance>",
                                              "<eos>",
                                              "<turn|>",
                                              "<|tool_response>",
                                              "<\xEF\xBD\x9C"
                                              "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
                                              "[e~[",
                                              "<|fim_prefix|>",
                                              "<fim-prefix>",
                                              "<fim_prefix>",
                                              "<\xEF\xBD\x9C"
                                              "fim\xE2\x96\x81"
                                              "begin\xEF\xBD\x9C>",
                                              "<PRE>",
                                              "\xE2\x96\x81<PRE>",
                                              "<|code_prefix|>",
                                              "<|fim_suffix|>",
                                              "<fim-suffix>",
                                              "<fim_suffix>",
                                              "<\xEF\xBD\x9C"
                                              "fim\xE2\x96\x81hole\xEF\xBD\x9C>",
                                              "<SUF>",
                                              "\xE2\x96\x81<SUF>",
                                              "<|code_suffix|>",
                                              "<|fim_middle|>",
                                              "<fim-middle>",
                                              "<fim_middle>",
                                              "<\xEF\xBD\x9C"
                                              "fim\xE2\x96\x81"
                                              "end\xEF\xBD\x9C>",
                                              "<MID>",
                                              "\xE2\x96\x81<MID>",
                                              "<|code_middle|>",
                                              "<|fim_pad|>",
                                              "<fim-pad>",
                                              "<fim_pad>",
                                              "<PAD>",
                                              "[PAD]",
                                              "<|fim_repo|>",
                                              "<|repo_name|>",
                                              "<fim-repo>",
                                              "<REPO>",
                                              "<reponame>",
                                              "<|file_sep|>"};
// Rendered as text by the models that have them (gpt-oss), so not control tokens.
constexpr std::string_view kTextTexts[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

// Reads one file's keys into one Pipeline.
class Builder {
 public:
  explicit Builder(const ModelFile& file) : file_(file) {}

  Result<std::unique_ptr<Tokenizer>> build() {
    auto model = file_.text(key("model"));
    if (!model) return fail(Code::LoadFailed, "tokenizer: the file has no tokenizer.ggml.model");
    VERGE_TRY(read_vocabulary());
    correct_kinds();
    if (*model == "gpt2" || *model == "gemma4") {
      VERGE_TRY(byte_pairs(*model));
    } else if (*model == "llama") {
      VERGE_TRY(sentence_pieces());
    } else if (*model == "t5") {
      VERGE_TRY(unigram());
    } else if (*model == "bert") {
      VERGE_TRY(word_pieces());
    } else {
      return fail(Code::LoadFailed, "tokenizer: tokenizer.ggml.model is \"{}\"; known are gpt2, llama, t5, bert and gemma4",
                  model->substr(0, 64));
    }
    read_special_tokens();
    return std::unique_ptr<Tokenizer>(std::move(pipeline_));
  }

 private:
  static std::string key(std::string_view name) { return std::string(kKey) + std::string(name); }
  Vocabulary& vocabulary() { return *pipeline_->tokens; }
  std::string name_of_pre() const { return file_.text(key("pre")).value_or(""); }

  Result<void> read_vocabulary() {
    const auto* tokens = file_.array<std::string>(key("tokens"));
    if (!tokens || tokens->empty()) return fail(Code::LoadFailed, "tokenizer: tokenizer.ggml.tokens is missing or empty");
    const auto* kinds = file_.array<int64_t>(key("token_type"));
    const auto* scores = file_.array<double>(key("scores"));
    const auto* whole_scores = file_.array<int64_t>(key("scores"));
    auto count_is_right = [&](const char* what, const auto* list) -> Result<void> {
      if (!list || list->size() >= tokens->size()) return {};
      return fail(Code::LoadFailed, "tokenizer: {} tokens but {} of {}", tokens->size(), list->size(), what);
    };
    VERGE_TRY(count_is_right("tokenizer.ggml.token_type", kinds));
    VERGE_TRY(count_is_right("tokenizer.ggml.scores", scores));
    VERGE_TRY(count_is_right("tokenizer.ggml.scores", whole_scores));
    size_t bytes = 0;
    for (const std::string& token : *tokens) bytes += token.size();
    vocabulary().reserve(tokens->size(), bytes);
    for (size_t i = 0; i < tokens->size(); ++i) {
      int64_t kind = kinds ? (*kinds)[i] : 1;
      if (kind < 1 || kind > 6) kind = static_cast<int64_t>(TokenKind::Unused);
      double score = scores ? (*scores)[i] : whole_scores ? static_cast<double>((*whole_scores)[i]) : 0.0;
      VERGE_TRY(vocabulary().add((*tokens)[i], static_cast<TokenKind>(kind), score));
    }
    return {};
  }

  void correct_kinds() {
    for (std::string_view text : kControlTexts) {
      if (int32_t id = vocabulary().find(text); id >= 0) vocabulary().set_kind(id, TokenKind::Control);
    }
    for (std::string_view text : kTextTexts) {
      if (int32_t id = vocabulary().find(text); id >= 0) vocabulary().set_kind(id, TokenKind::UserDefined);
    }
    auto has = [&](std::string_view text) { return vocabulary().find(text) >= 0; };
    // Message separators of harmony and Solar, not ends of generation.
    if (has("<|end|>") && ((has("<|return|>") && has("<|call|>")) || ((has("<|call|>") || has("<|calls|>")) && has("<|flush|>")))) {
      vocabulary().set_kind(vocabulary().find("<|end|>"), TokenKind::UserDefined);
    }
    if (has("<|tool_response>") && has("</s>")) vocabulary().set_kind(vocabulary().find("</s>"), TokenKind::Normal);
  }

  // An id from the file, `standard` where the file has none; -1 where that is past the vocabulary.
  Result<int32_t> special_id(std::string_view name, int32_t standard) {
    auto id = file_.integer(key(name));
    if (!id) return vocabulary().contains(standard) ? standard : -1;
    if (!vocabulary().contains(*id)) {
      return fail(Code::LoadFailed, "tokenizer: tokenizer.ggml.{} is {}, but there are {} tokens", name, *id, vocabulary().size());
    }
    return static_cast<int32_t>(*id);
  }

  Result<void> read_ends(int32_t bos, int32_t eos, bool adds_bos, bool adds_eos) {
    VERGE_ASSIGN(bos_id, special_id("bos_token_id", bos));
    VERGE_ASSIGN(eos_id, special_id("eos_token_id", eos));
    pipeline_->bos_id = bos_id;
    pipeline_->eos_id = eos_id;
    if (file_.boolean(key("add_bos_token")).value_or(adds_bos) && bos_id >= 0) pipeline_->prefix = {bos_id};
    if (file_.boolean(key("add_eos_token")).value_or(adds_eos) && eos_id >= 0) pipeline_->suffix = {eos_id};
    return {};
  }

  Result<void> byte_pairs(std::string_view model) {
    std::string name = model == "gemma4" ? "gemma4" : name_of_pre();
    const PreTokenizer* pre = find_pre_tokenizer(name);
    if (!pre) return fail(Code::LoadFailed, "tokenizer: the pre-tokenizer \"{}\" is not known", name.substr(0, 64));
    if (name.empty()) log::warn("the model names no pre-tokenizer; its texts are split by the old default rule", {{"path", file_.path}});
    const auto* merges = file_.array<std::string>(key("merges"));
    if (!merges) return fail(Code::LoadFailed, "tokenizer: tokenizer.ggml.merges is missing");
    BpeOptions options;
    options.byte_level = !pre->space_symbols;
    options.byte_fallback = options.whole_newlines = pre->space_symbols;
    options.ignore_merges = pre->ignore_merges;
    VERGE_ASSIGN(bpe, Bpe::make(vocabulary(), *merges, options));
    pipeline_->model = std::move(bpe);
    VERGE_ASSIGN(splitter, make_splitter(*pre));
    pipeline_->splitter = std::move(splitter);
    if (pre->space_symbols) pipeline_->normalizer = std::make_unique<SpaceSymbolNormalizer>(false, false);
    VERGE_TRY(read_ends(-1, -1, pre->adds_bos, false));
    if (pre->adds_bos_always && pipeline_->bos_id >= 0) pipeline_->prefix = {pipeline_->bos_id};
    decode_pieces(options.byte_level);
    return {};
  }

  Result<void> sentence_pieces() {
    VERGE_ASSIGN(unknown, special_id("unknown_token_id", 0));
    auto model = std::make_unique<SentencePieceBpe>(vocabulary(), unknown);
    const bool space_prefix = file_.boolean(key("add_space_prefix")).value_or(true);
    pipeline_->normalizer = std::make_unique<SpaceSymbolNormalizer>(space_prefix, false);
    pipeline_->splitter = std::make_unique<SpaceSymbolSplitter>(vocabulary());
    pipeline_->model = std::move(model);
    pipeline_->drop_leading_space = space_prefix;
    VERGE_TRY(read_ends(1, 2, true, false));
    decode_pieces(false);
    return {};
  }

  Result<void> unigram() {
    VERGE_ASSIGN(unknown, special_id("unknown_token_id", 2));
    std::string blob;
    if (const auto* bytes = file_.array<int64_t>(key("precompiled_charsmap"))) {
      blob.reserve(bytes->size());
      for (int64_t byte : *bytes) blob.push_back(static_cast<char>(byte));
    }
    VERGE_ASSIGN(map, CharsMap::parse(blob));
    Trie user_defined;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      if (vocabulary().kind(id) == TokenKind::UserDefined) user_defined.insert(vocabulary().text(id), id);
    }
    SentencePieceNormalizer::Options options;
    options.space_prefix = file_.boolean(key("add_space_prefix")).value_or(false);
    options.merge_spaces = file_.boolean(key("remove_extra_whitespaces")).value_or(false);
    pipeline_->normalizer = std::make_unique<SentencePieceNormalizer>(std::move(map), std::move(user_defined), options);
    pipeline_->model = std::make_unique<Unigram>(vocabulary(), Unigram::Options{.unknown = unknown});
    pipeline_->cache_words = false;  // the "word" is the whole fragment
    pipeline_->drop_leading_space = options.space_prefix;
    VERGE_TRY(read_ends(-1, 1, false, true));
    decode_pieces(false);
    return {};
  }

  Result<void> word_pieces() {
    VERGE_ASSIGN(unknown, special_id("unknown_token_id", 100));
    VERGE_ASSIGN(bos, special_id("bos_token_id", 101));
    VERGE_ASSIGN(cls, special_id("cls_token_id", bos));
    VERGE_ASSIGN(separator, special_id("seperator_token_id", 102));  // the key is spelt so
    BertNormalizer::Options options;
    options.lowercase = file_.boolean(key("normalizer.lowercase")).value_or(true);
    options.strip_accents = file_.boolean(key("normalizer.strip_accents")).value_or(options.lowercase);
    pipeline_->normalizer = std::make_unique<BertNormalizer>(options);
    pipeline_->splitter = std::make_unique<BertSplitter>();
    pipeline_->model = std::make_unique<WordPiece>(
        vocabulary(), WordPiece::Options{.unknown = unknown, .word_prefix = std::string(kSpaceSymbol), .continuing_prefix = ""});
    pipeline_->drop_leading_space = true;
    VERGE_TRY(read_ends(-1, -1, false, false));
    pipeline_->bos_id = cls;
    pipeline_->prefix.clear();
    pipeline_->suffix.clear();
    if (cls >= 0) pipeline_->prefix = {cls};
    if (separator >= 0) pipeline_->suffix = {separator};
    decode_pieces(false);
    return {};
  }

  // What each token appends when decoded: bytes of the byte-level alphabet, or text with U+2581 as a space.
  void decode_pieces(bool byte_level) {
    size_t bytes = 0;
    for (int32_t id = 0; id < vocabulary().size(); ++id) bytes += vocabulary().text(id).size();
    pipeline_->pieces.reserve(static_cast<size_t>(vocabulary().size()), bytes);
    std::string piece;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      std::string_view text = vocabulary().text(id);
      TokenKind kind = vocabulary().kind(id);
      int byte = kind == TokenKind::Byte ? parse_byte_token(text) : -1;
      if (byte >= 0) {
        piece.assign(1, static_cast<char>(byte));
      } else if (kind == TokenKind::Control || kind == TokenKind::Unknown || kind == TokenKind::UserDefined) {
        piece = text;
      } else if (byte_level) {
        byte_level_to_bytes(text, &piece);
      } else {
        space_symbols_to_spaces(text, &piece);
      }
      pipeline_->pieces.add(piece);
    }
  }

  void read_special_tokens() {
    std::string name = file_.text("general.name").value_or("");
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    const std::string pre = name_of_pre();
    auto contains = [](const std::string& text, std::initializer_list<std::string_view> parts) {
      return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) { return text.find(part) != std::string::npos; });
    };
    // Files do not say which tokens take white space along; these models do.
    const bool mask_strips_left =
        contains(pre, {"jina-v2-de", "jina-v2-es", "jina-v2-code"}) || contains(file_.architecture, {"nomic-bert-moe", "jina-bert-v3"});
    const bool phi3 = !mask_strips_left && contains(name, {"phi-3", "phi3"});
    const bool modern_bert = !mask_strips_left && !phi3 && contains(name, {"modern-bert"});
    std::vector<SpecialToken> list;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      TokenKind kind = vocabulary().kind(id);
      if (kind != TokenKind::Control && kind != TokenKind::Unknown && kind != TokenKind::UserDefined) continue;
      SpecialToken token{.text = std::string(vocabulary().text(id)), .id = id};
      token.special = guards_a_turn(token.text, id, kind != TokenKind::UserDefined, file_.stop_ids);
      if (token.text.empty()) continue;
      if (mask_strips_left) token.strip_left = token.text == "<mask>";
      if (modern_bert) token.strip_left = token.text == "[MASK]";
      if (phi3) token.strip_right = token.text != "<unk>" && token.text != "<s>" && token.text != "<|endoftext|>";
      list.push_back(std::move(token));
    }
    pipeline_->special = SpecialTokens(std::move(list), SpecialTokens::Order::LongestFirst);
  }

  const ModelFile& file_;
  std::unique_ptr<Pipeline> pipeline_ = std::make_unique<Pipeline>();
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_gguf_tokenizer(const ModelFile& file) { return Builder(file).build(); }

}  // namespace verge::engine
