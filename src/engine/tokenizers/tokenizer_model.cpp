// A SentencePiece model says everything itself: pieces with scores and kinds, the kind of model, the
// normaliser. tokenizer_config.json beside it adds tokens past the pieces and says which ends are put around a
// text. Field numbers: sentencepiece_model.proto.
#include "engine/tokenizers/tokenizer_model.h"

#include <map>
#include <string>

#include "engine/formats/config_json.h"
#include "engine/formats/model_file.h"
#include "engine/tokenizers/json_fields.h"
#include "engine/tokenizers/pipeline.h"
#include "engine/formats/protobuf.h"
#include "engine/tokenizers/sentencepiece.h"
#include "engine/tokenizers/unicode.h"
#include "engine/tokenizers/unigram.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

Error damaged(std::string_view what) { return fail(Code::LoadFailed, "tokenizer.model: {} is damaged", what); }

// What the trainer and normaliser specifications say, with their defaults.
struct Spec {
  enum Model { Unigram = 1, Bpe = 2 };
  int64_t model = Unigram;
  bool byte_fallback = false;
  bool space_is_suffix = false;
  int64_t bos = 1, eos = 2;
  std::string_view charsmap;
  bool space_prefix = true;
  bool merge_spaces = true;
  bool escape_spaces = true;
};

class Builder {
 public:
  explicit Builder(const ModelFile& file) : file_(file) {}

  Result<std::unique_ptr<Tokenizer>> build() {
    VERGE_TRY(read());
    VERGE_TRY(read_config());
    if (unknown_ < 0) return fail(Code::LoadFailed, "tokenizer.model: no piece is of the kind \"unknown\"");
    VERGE_TRY(make_stages());
    make_special_tokens();
    decode_pieces();
    put_ends();
    return std::unique_ptr<Tokenizer>(std::move(pipeline_));
  }

 private:
  Vocabulary& vocabulary() { return *pipeline_->tokens; }

  Result<void> read() {
    if (file_.tokenizer_model.size() > limits::kTokenizerJsonBytes)
      return fail(Code::LoadFailed, "tokenizer.model: {} bytes", file_.tokenizer_model.size());
    ProtobufReader reader(file_.tokenizer_model);
    while (auto field = reader.next()) {
      if (field->kind != ProtobufField::Kind::Bytes) continue;
      if (field->number == 1) VERGE_TRY(read_piece(field->bytes));
      if (field->number == 2) VERGE_TRY(read_trainer(field->bytes));
      if (field->number == 3) VERGE_TRY(read_normalizer(field->bytes));
    }
    if (reader.failed()) return damaged("the file (or it is no SentencePiece model)");
    if (vocabulary().size() == 0) return fail(Code::LoadFailed, "tokenizer.model: there are no pieces in it");
    if (spec_.model != Spec::Unigram && spec_.model != Spec::Bpe) {
      return fail(Code::LoadFailed, "tokenizer.model: the model type {} is not supported; known are unigram (1) and BPE (2)", spec_.model);
    }
    return {};
  }

  Result<void> read_piece(std::string_view message) {
    std::string_view text;
    float score = 0;
    uint64_t kind = 1;
    ProtobufReader reader(message);
    while (auto field = reader.next()) {
      if (field->number == 1 && field->kind == ProtobufField::Kind::Bytes) text = field->bytes;
      if (field->number == 2 && field->kind == ProtobufField::Kind::Fixed32) score = field->as_float();
      if (field->number == 3 && field->kind == ProtobufField::Kind::Varint) kind = field->integer;
    }
    if (reader.failed()) return damaged(fmt::format("piece {}", vocabulary().size()));
    if (kind < 1 || kind > 6)
      return fail(Code::LoadFailed, "tokenizer.model: piece {} is of the unknown kind {}", vocabulary().size(), kind);
    if (kind == 2) unknown_ = vocabulary().size();
    return vocabulary().add(text, static_cast<TokenKind>(kind), score);
  }

  Result<void> read_trainer(std::string_view message) {
    ProtobufReader reader(message);
    while (auto field = reader.next()) {
      if (field->kind != ProtobufField::Kind::Varint) continue;
      if (field->number == 3) spec_.model = static_cast<int64_t>(field->integer);
      if (field->number == 24) spec_.space_is_suffix = field->integer != 0;
      if (field->number == 35) spec_.byte_fallback = field->integer != 0;
      if (field->number == 41) spec_.bos = static_cast<int32_t>(field->integer);
      if (field->number == 42) spec_.eos = static_cast<int32_t>(field->integer);
    }
    return reader.failed() ? Result<void>(damaged("its trainer specification")) : Result<void>();
  }

  Result<void> read_normalizer(std::string_view message) {
    ProtobufReader reader(message);
    while (auto field = reader.next()) {
      if (field->number == 2 && field->kind == ProtobufField::Kind::Bytes) spec_.charsmap = field->bytes;
      if (field->kind != ProtobufField::Kind::Varint) continue;
      if (field->number == 3) spec_.space_prefix = field->integer != 0;
      if (field->number == 4) spec_.merge_spaces = field->integer != 0;
      if (field->number == 5) spec_.escape_spaces = field->integer != 0;
    }
    return reader.failed() ? Result<void>(damaged("its normaliser specification")) : Result<void>();
  }

  // Tokens that transformers adds after the pieces, or whose kind it changes.
  Result<void> read_config() {
    if (file_.tokenizer_config.empty()) return {};
    auto parsed = parse_config_json(file_.tokenizer_config);
    if (!parsed) return fail(Code::LoadFailed, "tokenizer_config.json: {}", parsed.error().message);
    const json::object* config = parsed->if_object();
    if (!config) return {};
    adds_bos_ = get_bool(*config, "add_bos_token");
    adds_eos_ = get_bool(*config, "add_eos_token");
    const json::object* list = get_object(*config, "added_tokens_decoder");
    if (!list) return {};
    std::map<int64_t, const json::object*> by_id;
    for (const auto& [key, value] : *list) {
      int64_t id = 0;
      for (char c : std::string_view(key))
        id = c >= '0' && c <= '9' && id < static_cast<int64_t>(limits::kVocabulary) ? id * 10 + (c - '0') : limits::kVocabulary;
      if (id >= static_cast<int64_t>(limits::kVocabulary) || !value.is_object()) {
        return fail(Code::LoadFailed, "tokenizer_config.json: \"{}\" in added_tokens_decoder is no token",
                    std::string_view(key).substr(0, 64));
      }
      by_id[id] = &value.get_object();
    }
    for (const auto& [id, token] : by_id) {
      auto text = get_string(*token, "content");
      if (!text) return missing_field("an entry of added_tokens_decoder", "content");
      TokenKind kind = get_bool(*token, "special").value_or(false) ? TokenKind::Control : TokenKind::UserDefined;
      if (id < vocabulary().size()) {
        auto piece = static_cast<int32_t>(id);
        if (vocabulary().text(piece) == *text && vocabulary().kind(piece) == TokenKind::Normal) vocabulary().set_kind(piece, kind);
        continue;
      }
      while (vocabulary().size() < id) VERGE_TRY(vocabulary().add("", TokenKind::Unused, 0));
      VERGE_TRY(vocabulary().add(*text, kind, 0));
    }
    return {};
  }

  Result<void> make_stages() {
    VERGE_ASSIGN(map, CharsMap::parse(spec_.charsmap));
    Trie user_defined;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      if (vocabulary().kind(id) == TokenKind::UserDefined) user_defined.insert(vocabulary().text(id), id);
    }
    SentencePieceNormalizer::Options options;
    options.space_prefix = spec_.space_prefix;
    options.space_is_suffix = spec_.space_is_suffix;
    options.merge_spaces = spec_.merge_spaces;
    options.escape = spec_.escape_spaces;
    pipeline_->normalizer = std::make_unique<SentencePieceNormalizer>(std::move(map), std::move(user_defined), options);
    pipeline_->drop_leading_space = spec_.space_prefix || spec_.merge_spaces;
    if (spec_.model == Spec::Bpe) {
      pipeline_->model = std::make_unique<SentencePieceBpe>(vocabulary(), unknown_);
      pipeline_->splitter = std::make_unique<SpaceSymbolSplitter>(vocabulary());
    } else {
      pipeline_->model = std::make_unique<Unigram>(
          vocabulary(),
          Unigram::Options{
              .unknown = unknown_, .byte_fallback = spec_.byte_fallback, .single_precision = true, .user_defined_by_length = true});
      pipeline_->cache_words = false;
    }
    return {};
  }

  void make_special_tokens() {
    std::vector<SpecialToken> control, user_defined;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      TokenKind kind = vocabulary().kind(id);
      SpecialToken token{.text = std::string(vocabulary().text(id)), .id = id};
      token.special = guards_a_turn(token.text, id, kind != TokenKind::UserDefined, file_.stop_ids);
      if (token.text.empty()) continue;
      if (kind == TokenKind::Control || kind == TokenKind::Unknown) control.push_back(std::move(token));
      // Of the others a unigram model itself finds the best place.
      const bool as_a_whole = spec_.model == Spec::Bpe || token.special;
      if (kind == TokenKind::UserDefined && as_a_whole) user_defined.push_back(std::move(token));
    }
    pipeline_->special = SpecialTokens(std::move(control), SpecialTokens::Order::LeftmostLongest);
    pipeline_->special_normalized = SpecialTokens(std::move(user_defined), SpecialTokens::Order::LeftmostLongest);
  }

  void decode_pieces() {
    std::string piece;
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      std::string_view text = vocabulary().text(id);
      TokenKind kind = vocabulary().kind(id);
      int byte = kind == TokenKind::Byte ? parse_byte_token(text) : -1;
      if (byte >= 0) {
        piece.assign(1, static_cast<char>(byte));
      } else if (kind == TokenKind::Control || kind == TokenKind::Unknown) {
        piece = text;
      } else {
        space_symbols_to_spaces(text, &piece);
      }
      pipeline_->pieces.add(piece);
    }
  }

  void put_ends() {
    if (vocabulary().contains(spec_.bos)) pipeline_->bos_id = static_cast<int32_t>(spec_.bos);
    if (vocabulary().contains(spec_.eos)) pipeline_->eos_id = static_cast<int32_t>(spec_.eos);
    // Llama's family (BPE) begins texts, T5's (unigram) ends them.
    if (adds_bos_.value_or(spec_.model == Spec::Bpe) && pipeline_->bos_id >= 0) pipeline_->prefix = {pipeline_->bos_id};
    if (adds_eos_.value_or(spec_.model == Spec::Unigram) && pipeline_->eos_id >= 0) pipeline_->suffix = {pipeline_->eos_id};
  }

  const ModelFile& file_;
  Spec spec_;
  int32_t unknown_ = -1;
  std::optional<bool> adds_bos_, adds_eos_;
  std::unique_ptr<Pipeline> pipeline_ = std::make_unique<Pipeline>();
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_model_tokenizer(const ModelFile& file) { return Builder(file).build(); }

}  // namespace verge::engine
