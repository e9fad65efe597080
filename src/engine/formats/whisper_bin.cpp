// The layout is that of whisper.cpp's models/convert-pt-to-ggml.py and whisper_model_load, little-endian, i32 unless said:
//   magic 0x67676d6c; vocabulary, audio positions, audio width, audio heads, audio layers, text positions, text width, text
//   heads, text layers, mels, file type
//   mel filters: rows, columns, f32 × both         (computed here instead: they are the same for all models)
//   vocabulary: count, a token: u32 length, bytes   (text tokens only; special ones follow from their number)
//   tensors to the end: dimensions, length of the name, ggml type, sizes (fastest first), name, data (not aligned)
// Names are openai/whisper's; they become the hub's.
#include "engine/formats/whisper_bin.h"

#include <cstring>

#include "engine/formats/ggml_types.h"
#include "engine/formats/shape_check.h"
#include "engine/formats/whisper_parts.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr uint32_t kMagic = 0x67676d6c;

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& path) : rest_(bytes), path_(path) {}

  bool at_end() const { return rest_.empty(); }
  Result<std::span<const std::byte>> take(uint64_t count) {
    if (count > rest_.size()) return fail(Code::LoadFailed, "{}: truncated: {} bytes wanted, {} left", path_, count, rest_.size());
    const auto bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }
  // A number from `low` to `high`.
  Result<int64_t> number(const char* what, int64_t low, int64_t high) {
    VERGE_ASSIGN(bytes, take(4));
    int32_t value;
    std::memcpy(&value, bytes.data(), 4);
    if (value < low || value > high) return fail(Code::LoadFailed, "{}: {} is {}, must be {} to {}", path_, what, value, low, high);
    return value;
  }

 private:
  std::span<const std::byte> rest_;
  const std::string& path_;
};

// "encoder.blocks.3.attn.query.weight" -> "model.encoder.layers.3.self_attn.q_proj.weight"; empty where it is not known.
std::string hub_name(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kWhole[] = {
      {"encoder.positional_embedding", "model.encoder.embed_positions.weight"},
      {"decoder.positional_embedding", "model.decoder.embed_positions.weight"},
      {"decoder.token_embedding.weight", "model.decoder.embed_tokens.weight"},
      {"encoder.conv1.weight", "model.encoder.conv1.weight"}, {"encoder.conv1.bias", "model.encoder.conv1.bias"},
      {"encoder.conv2.weight", "model.encoder.conv2.weight"}, {"encoder.conv2.bias", "model.encoder.conv2.bias"},
      {"encoder.ln_post.weight", "model.encoder.layer_norm.weight"}, {"encoder.ln_post.bias", "model.encoder.layer_norm.bias"},
      {"decoder.ln.weight", "model.decoder.layer_norm.weight"}, {"decoder.ln.bias", "model.decoder.layer_norm.bias"}};
  static constexpr std::pair<std::string_view, std::string_view> kLayer[] = {
      {"attn_ln", "self_attn_layer_norm"}, {"attn.query", "self_attn.q_proj"}, {"attn.key", "self_attn.k_proj"},
      {"attn.value", "self_attn.v_proj"}, {"attn.out", "self_attn.out_proj"}, {"cross_attn_ln", "encoder_attn_layer_norm"},
      {"cross_attn.query", "encoder_attn.q_proj"}, {"cross_attn.key", "encoder_attn.k_proj"}, {"cross_attn.value", "encoder_attn.v_proj"},
      {"cross_attn.out", "encoder_attn.out_proj"}, {"mlp_ln", "final_layer_norm"}, {"mlp.0", "fc1"}, {"mlp.2", "fc2"}};
  for (const auto& [from, to] : kWhole) {
    if (name == from) return std::string(to);
  }
  for (const std::string_view part : {"encoder", "decoder"}) {
    const std::string prefix = std::string(part) + ".blocks.";
    if (!name.starts_with(prefix)) continue;
    name.remove_prefix(prefix.size());
    const size_t dot = name.find('.'), last = name.rfind('.');
    if (dot == name.npos || dot == 0 || last <= dot || name.substr(0, dot).find_first_not_of("0123456789") != name.npos) return {};
    for (const auto& [from, to] : kLayer) {
      if (name.substr(dot + 1, last - dot - 1) == from) return fmt::format("model.{}.layers.{}.{}{}", part, name.substr(0, dot), to, name.substr(last));
    }
  }
  return {};
}

Result<> read_tensor(Reader& reader, ModelFile* file) {
  VERGE_ASSIGN(rank, reader.number("number of dimensions", 1, limits::kTensorDims));
  VERGE_ASSIGN(length, reader.number("length of a name", 1, static_cast<int64_t>(limits::kTensorNameBytes)));
  VERGE_ASSIGN(code, reader.number("type of a tensor", 0, INT32_MAX));
  std::vector<uint64_t> dims(static_cast<size_t>(rank));
  for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
    VERGE_ASSIGN(size, reader.number("size of a tensor", 1, INT32_MAX));
    *dim = static_cast<uint64_t>(size);
  }
  VERGE_ASSIGN(name_bytes, reader.take(static_cast<uint64_t>(length)));
  const std::string_view name(reinterpret_cast<const char*>(name_bytes.data()), name_bytes.size());
  const std::string to = hub_name(name);
  const GgmlType type = ggml_type(code);
  if (to.empty()) return fail(Code::LoadFailed, "{}: a tensor's name is not known for Whisper", file->path);
  if (!type.type) return fail(Code::LoadFailed, "{}: tensor '{}' is of ggml's type {}, which is not supported", file->path, to, code);
  VERGE_ASSIGN(view, checked_view(*type.type, dims, to, file->path));
  VERGE_ASSIGN(data, reader.take(view.bytes));
  view.data = data.data();
  // Biases of the convolutions are written as columns {out, 1}.
  if (to.ends_with(".bias") && view.rank == 2 && view.shape[1] == 1) view.rank = 1;
  if (!file->tensors.emplace(to, view).second) return fail(Code::LoadFailed, "{}: two tensors are named '{}'", file->path, to);
  return {};
}

}  // namespace

bool is_whisper_bin(std::span<const std::byte> bytes) {
  uint32_t magic = 0;
  if (bytes.size() < sizeof(magic)) return false;
  std::memcpy(&magic, bytes.data(), sizeof(magic));
  return magic == kMagic;
}

Result<> parse_whisper_bin(std::span<const std::byte> bytes, ModelFile* file) {
  file->format = "whisper_bin";
  file->architecture = "whisper";
  Reader reader(bytes, file->path);
  VERGE_ASSIGN(magic, reader.take(4));
  if (!is_whisper_bin(magic)) return fail(Code::LoadFailed, "{}: no file of whisper.cpp", file->path);
  VERGE_ASSIGN(vocabulary, reader.number("n_vocab", 1, static_cast<int64_t>(limits::kVocabulary)));
  VERGE_ASSIGN(audio_positions, reader.number("n_audio_ctx", 1, limits::kAudioPositions));
  VERGE_ASSIGN(audio_width, reader.number("n_audio_state", 1, limits::kModelWidth));
  VERGE_ASSIGN(audio_heads, reader.number("n_audio_head", 1, limits::kHeads));
  VERGE_ASSIGN(audio_layers, reader.number("n_audio_layer", 1, limits::kLayers));
  VERGE_ASSIGN(text_positions, reader.number("n_text_ctx", 1, limits::kTextPositions));
  VERGE_ASSIGN(text_width, reader.number("n_text_state", 1, limits::kModelWidth));
  VERGE_ASSIGN(text_heads, reader.number("n_text_head", 1, limits::kHeads));
  VERGE_ASSIGN(text_layers, reader.number("n_text_layer", 1, limits::kLayers));
  VERGE_ASSIGN(mels, reader.number("n_mels", 1, limits::kMels));
  VERGE_ASSIGN(type, reader.number("ftype", 0, INT32_MAX));
  static_cast<void>(type);  // each tensor says its own
  if (audio_width != text_width) return fail(Code::LoadFailed, "{}: encoder and decoder of {} and {} channels are not supported", file->path, audio_width, text_width);
  static_cast<void>(audio_positions), static_cast<void>(text_positions);  // and the positions' tensors their sizes
  file->meta["encoder_layers"] = audio_layers;
  file->meta["decoder_layers"] = text_layers;
  file->meta["encoder_attention_heads"] = audio_heads;
  file->meta["decoder_attention_heads"] = text_heads;

  VERGE_ASSIGN(filter_rows, reader.number("rows of the mel filters", 1, limits::kMels));
  VERGE_ASSIGN(filter_columns, reader.number("columns of the mel filters", 1, limits::kModelWidth));
  if (filter_rows != mels) return fail(Code::LoadFailed, "{}: {} mel filters for {} bands", file->path, filter_rows, mels);
  VERGE_TRY(reader.take(static_cast<uint64_t>(filter_rows * filter_columns) * sizeof(float)));

  VERGE_ASSIGN(count, reader.number("number of tokens", 1, vocabulary));
  std::vector<std::string> tokens;
  for (int64_t i = 0; i < count; ++i) {
    VERGE_ASSIGN(length, reader.number("length of a token", 0, static_cast<int64_t>(limits::kSpeechTokenBytes)));
    VERGE_ASSIGN(bytes, reader.take(static_cast<uint64_t>(length)));
    tokens.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  VERGE_TRY(add_whisper_specials(file->path, vocabulary, &tokens));
  file->meta["tokens"] = std::move(tokens);
  file->meta["is_multilingual"] = vocabulary >= 51865;
  while (!reader.at_end()) {
    if (file->tensors.size() >= limits::kTensorCount) return fail(Code::LoadFailed, "{}: more than {} tensors", file->path, limits::kTensorCount);
    VERGE_TRY(read_tensor(reader, file));
  }
  return align_tensors(file);
}

Result<std::shared_ptr<ModelFile>> open_whisper_bin(std::shared_ptr<MappedFile> map) {
  auto file = std::make_shared<ModelFile>();
  file->path = map->path();
  file->maps.push_back(map);
  VERGE_TRY(parse_whisper_bin(map->bytes(), file.get()));
  return file;
}

}  // namespace verge::engine
