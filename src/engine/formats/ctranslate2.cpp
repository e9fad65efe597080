// The layout is that of CTranslate2's python/ctranslate2/specs/model_spec.py (_serialize), binary version 6, little-endian:
//   u32 version, str spec, u32 revision, u32 variables
//   a variable: str name, u8 rank, u32 × rank shape, u8 dtype, u32 bytes, data (row-major, not aligned)
//   u32 aliases; an alias: str alias, str variable
//   str: u16 length with the final NUL, the bytes, NUL
// Every count and size is compared with what is left of the file before it is used. q, k and v are one stacked
// matrix there: their thirds become views of their own. Weights of 8 bits (each row with a factor in `weight_scale`) are
// expanded to f16.
#include "engine/formats/ctranslate2.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "engine/formats/config_json.h"
#include "engine/formats/file_access.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/shape_check.h"
#include "engine/formats/quantized.h"
#include "engine/formats/whisper_parts.h"
#include "support/json.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, TensorView, std::less<>>;

constexpr uint32_t kVersionLowest = 5, kVersionHighest = 6;  // 5 has no difference that matters here
constexpr std::string_view kSpec = "WhisperSpec";

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& path) : rest_(bytes), path_(path) {}

  template <class T>
  Result<T> number() {
    VERGE_ASSIGN(bytes, take(sizeof(T)));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  Result<std::string> text() {
    VERGE_ASSIGN(length, number<uint16_t>());
    if (length == 0 || length > limits::kTensorNameBytes) return fail(Code::LoadFailed, "{}: a name of {} bytes, 1 to {} are possible", path_, length, limits::kTensorNameBytes);
    VERGE_ASSIGN(bytes, take(length));
    std::string value(reinterpret_cast<const char*>(bytes.data()), length - size_t{1});
    for (char c : value) {
      if (c < 32 || c > 126) return fail(Code::LoadFailed, "{}: a name is not printable ASCII", path_);
    }
    return value;
  }
  Result<std::span<const std::byte>> take(size_t count) {
    if (count > rest_.size()) return fail(Code::LoadFailed, "{}: truncated: {} bytes wanted, {} left", path_, count, rest_.size());
    const auto bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }

 private:
  std::span<const std::byte> rest_;
  const std::string& path_;
};

Result<DType> type_of(uint8_t code, const std::string& name, const std::string& path) {
  constexpr DType kTypes[] = {DType::F32, DType::I8, DType::I16, DType::I32, DType::F16, DType::BF16};
  if (code >= std::size(kTypes)) return fail(Code::LoadFailed, "{}: variable '{}' is of unknown type {}", path, name, code);
  return kTypes[code];
}

Result<Variables> read_variables(std::span<const std::byte> bytes, const std::string& path) {
  Reader reader(bytes, path);
  VERGE_ASSIGN(version, reader.number<uint32_t>());
  if (version < kVersionLowest || version > kVersionHighest) {
    return fail(Code::LoadFailed, "{}: CTranslate2's binary version {} is not supported, {} to {} are", path, version, kVersionLowest, kVersionHighest);
  }
  VERGE_ASSIGN(spec, reader.text());
  if (spec != kSpec) return fail(Code::LoadFailed, "{}: CTranslate2's '{}' is not supported, '{}' is", path, spec.substr(0, 64), kSpec);
  VERGE_ASSIGN(revision, reader.number<uint32_t>());
  if (revision > 3) return fail(Code::LoadFailed, "{}: revision {} of {} is not supported", path, revision, kSpec);
  VERGE_ASSIGN(count, reader.number<uint32_t>());
  if (count > limits::kTensorCount) return fail(Code::LoadFailed, "{}: {} variables, limit {}", path, count, limits::kTensorCount);
  Variables variables;
  for (uint32_t i = 0; i < count; ++i) {
    VERGE_ASSIGN(name, reader.text());
    VERGE_ASSIGN(rank, reader.number<uint8_t>());
    if (rank > limits::kTensorDims) return fail(Code::LoadFailed, "{}: variable '{}' has {} dimensions, limit {}", path, name, rank, limits::kTensorDims);
    uint64_t dims[limits::kTensorDims] = {};
    for (int d = 0; d < rank; ++d) {
      VERGE_ASSIGN(size, reader.number<uint32_t>());
      dims[d] = size;
    }
    VERGE_ASSIGN(code, reader.number<uint8_t>());
    VERGE_ASSIGN(type, type_of(code, name, path));
    VERGE_ASSIGN(view, checked_view(type, {dims, static_cast<size_t>(rank)}, name, path));
    VERGE_ASSIGN(size, reader.number<uint32_t>());
    if (size != view.bytes) return fail(Code::LoadFailed, "{}: variable '{}' {} has {} bytes, needs {}", path, name, to_string(view), size, view.bytes);
    VERGE_ASSIGN(data, reader.take(size));
    view.data = data.data();
    if (!variables.emplace(name, view).second) return fail(Code::LoadFailed, "{}: two variables are named '{}'", path, name);
  }
  VERGE_ASSIGN(aliases, reader.number<uint32_t>());
  if (aliases > limits::kTensorCount) return fail(Code::LoadFailed, "{}: {} aliases, limit {}", path, aliases, limits::kTensorCount);
  for (uint32_t i = 0; i < aliases; ++i) {
    VERGE_ASSIGN(alias, reader.text());
    VERGE_ASSIGN(target, reader.text());
    if (alias != "decoder/projection/weight" || target != "decoder/embeddings/weight") {
      return fail(Code::LoadFailed, "{}: '{}' as another name of '{}' is not supported", path, alias, target);
    }
  }
  return variables;
}

// A scalar attribute, at any alignment.
Result<int64_t> attribute(const Variables& variables, std::string_view name, const std::string& path) {
  const auto it = variables.find(name);
  if (it == variables.end() || it->second.elements() != 1) return fail(Code::LoadFailed, "{}: attribute '{}' is missing", path, name);
  const std::byte* data = it->second.data;
  const auto read = [data]<class T>(T value) {
    std::memcpy(&value, data, sizeof(T));
    return static_cast<int64_t>(value);
  };
  switch (it->second.type) {
    case DType::I8: return read(int8_t{});
    case DType::I16: return read(int16_t{});
    case DType::I32: return read(int32_t{});
    default: return fail(Code::LoadFailed, "{}: attribute '{}' is no integer", path, name);
  }
}

// What the code of models/whisper.cpp takes for granted.
Result<> check_attributes(const Variables& variables, const std::string& path) {
  const std::pair<const char*, int64_t> wanted[] = {{"decoder/activation", 3},  // GELU by erf
                                                    {"decoder/pre_norm", 1},
                                                    {"decoder/scale_embeddings", 0},
                                                    {"decoder/start_from_zero_embedding", 0},
                                                    {"decoder/alibi", 0}};
  for (const auto& [name, value] : wanted) {
    if (!variables.contains(name)) continue;
    VERGE_ASSIGN(got, attribute(variables, name, path));
    if (got != value) return fail(Code::LoadFailed, "{}: '{}' is {}, Whisper has {}", path, name, got, value);
  }
  return {};
}

int layer_count(const Variables& variables, std::string_view part) {
  int count = 0;
  while (count < limits::kLayers && variables.contains(fmt::format("{}/layer_{}/self_attention/layer_norm/gamma", part, count))) ++count;
  return count;
}

class Names {
 public:
  Names(Variables variables, ModelFile* file) : variables_(std::move(variables)), file_(file) {}

  Result<> run() {
    VERGE_TRY(check_attributes(variables_, file_->path));
    for (const char* part : {"encoder", "decoder"}) {
      VERGE_ASSIGN(heads, attribute(variables_, fmt::format("{}/num_heads", part), file_->path));
      file_->meta[fmt::format("{}_attention_heads", part)] = heads;
      const int layers = layer_count(variables_, part);
      file_->meta[fmt::format("{}_layers", part)] = int64_t{layers};
      VERGE_TRY(norm(fmt::format("{}/layer_norm", part), fmt::format("model.{}.layer_norm", part)));
      VERGE_TRY(move(fmt::format("{}/position_encodings/encodings", part), fmt::format("model.{}.embed_positions.weight", part)));
      for (int i = 0; i < layers; ++i) VERGE_TRY(layer(part, i));
    }
    for (const char* conv : {"conv1", "conv2"}) VERGE_TRY(linear(fmt::format("encoder/{}", conv), fmt::format("model.encoder.{}", conv)));
    VERGE_TRY(weight("decoder/embeddings/weight", "model.decoder.embed_tokens.weight", 0, 1));
    for (const auto& [name, view] : variables_) {
      if (view.rank > 0 && !taken_.contains(name) && !name.ends_with("alignment_heads")) {
        return fail(Code::LoadFailed, "{}: variable '{}' {} has no place in Whisper", file_->path, name, to_string(view));
      }
    }
    return expand_integers();
  }

 private:
  Result<> layer(std::string_view part, int index) {
    const std::string from = fmt::format("{}/layer_{}/", part, index), to = fmt::format("model.{}.layers.{}.", part, index);
    VERGE_TRY(norm(from + "self_attention/layer_norm", to + "self_attn_layer_norm"));
    VERGE_TRY(stacked(from + "self_attention/linear_0", {to + "self_attn.q_proj", to + "self_attn.k_proj", to + "self_attn.v_proj"}));
    VERGE_TRY(linear(from + "self_attention/linear_1", to + "self_attn.out_proj"));
    if (part == "decoder") {
      VERGE_TRY(norm(from + "attention/layer_norm", to + "encoder_attn_layer_norm"));
      VERGE_TRY(linear(from + "attention/linear_0", to + "encoder_attn.q_proj"));
      VERGE_TRY(stacked(from + "attention/linear_1", {to + "encoder_attn.k_proj", to + "encoder_attn.v_proj"}));
      VERGE_TRY(linear(from + "attention/linear_2", to + "encoder_attn.out_proj"));
    }
    VERGE_TRY(norm(from + "ffn/layer_norm", to + "final_layer_norm"));
    VERGE_TRY(linear(from + "ffn/linear_0", to + "fc1"));
    return linear(from + "ffn/linear_1", to + "fc2");
  }
  Result<> norm(const std::string& from, const std::string& to) {
    VERGE_TRY(move(from + "/gamma", to + ".weight"));
    return move(from + "/beta", to + ".bias");
  }
  Result<> linear(const std::string& from, const std::string& to) {
    VERGE_TRY(weight(from + "/weight", to + ".weight", 0, 1));
    return move(from + "/bias", to + ".bias");
  }
  // Equal parts of a stacked matrix and its bias; keys ("k_proj") have no bias, theirs must be zero.
  Result<> stacked(const std::string& from, const std::vector<std::string>& to) {
    const auto parts = static_cast<int64_t>(to.size());
    for (int64_t i = 0; i < parts; ++i) {
      const std::string& name = to[static_cast<size_t>(i)];
      VERGE_TRY(weight(from + "/weight", name + ".weight", i, parts));
      VERGE_ASSIGN(bias, slice(from + "/bias", i, parts));
      if (!name.ends_with("k_proj")) {
        file_->tensors.emplace(name + ".bias", bias);
        continue;
      }
      for (size_t b = 0; b < bias.bytes; ++b) {
        if ((bias.data[b] & std::byte{0x7f}) != std::byte{0}) return fail(Code::LoadFailed, "{}: '{}/bias' has a bias for keys", file_->path, from);
      }
    }
    return {};
  }
  Result<TensorView> slice(const std::string& name, int64_t part, int64_t parts) {
    const auto it = variables_.find(name);
    if (it == variables_.end()) return fail(Code::LoadFailed, "{}: variable '{}' is missing", file_->path, name);
    taken_.insert(name);
    TensorView view = it->second;
    if (view.rank < 1 || view.shape[0] % parts != 0) return fail(Code::LoadFailed, "{}: variable '{}' {} is not {} parts", file_->path, name, to_string(view), parts);
    view.shape[0] /= parts;
    view.bytes /= static_cast<size_t>(parts);
    view.data += view.bytes * static_cast<size_t>(part);
    return view;
  }
  Result<> move(const std::string& from, const std::string& to) {
    VERGE_ASSIGN(view, slice(from, 0, 1));
    file_->tensors.emplace(to, view);
    return {};
  }
  Result<> weight(const std::string& from, const std::string& to, int64_t part, int64_t parts) {
    VERGE_ASSIGN(view, slice(from, part, parts));
    file_->tensors.emplace(to, view);
    if (view.type != DType::I8) return {};
    VERGE_ASSIGN(factors, slice(from + "_scale", part, parts));
    if (factors.type != DType::F32 || factors.rank != 1 || factors.shape[0] != view.shape[0]) {
      return fail(Code::LoadFailed, "{}: '{}_scale' {} does not fit its weight {}", file_->path, from, to_string(factors), to_string(view));
    }
    integers_.push_back({to, factors});
    return {};
  }

  // int8 / factor of its row -> f16.
  Result<> expand_integers() {
    if (integers_.empty()) return {};
    size_t bytes = 0;
    for (const auto& [name, factors] : integers_) bytes += file_->tensors.at(name).bytes * 2;
    VERGE_ASSIGN(owned, MappedFile::allocate(bytes, file_->path));
    auto* at = reinterpret_cast<uint16_t*>(owned->owned_data());
    for (const auto& [name, factors] : integers_) {
      TensorView& view = file_->tensors.at(name);
      const auto* codes = reinterpret_cast<const int8_t*>(view.data);
      view.data = reinterpret_cast<const std::byte*>(at);
      const int64_t columns = view.columns();
      for (int64_t row = 0; row < view.shape[0]; ++row) {
        float factor;
        std::memcpy(&factor, factors.data + row * 4, 4);
        if (!std::isfinite(factor) || factor == 0) return fail(Code::LoadFailed, "{}: the scale of '{}' holds {}", file_->path, name, factor);
        for (int64_t i = 0; i < columns; ++i) *at++ = f32_to_f16(static_cast<float>(*codes++) / factor);
      }
      view.type = DType::F16;
      view.bytes *= 2;
    }
    file_->maps.push_back(std::move(owned));
    return {};
  }

  const Variables variables_;
  ModelFile* file_;
  std::set<std::string, std::less<>> taken_;
  std::vector<std::pair<std::string, TensorView>> integers_;
};

Result<std::string> read_text(const fs::path& path, uint64_t limit) {
  if (!is_file(path)) return fail(Code::LoadFailed, "{}: no such file", path.string());
  VERGE_ASSIGN(text, read_file(path, limit));
  if (text.empty()) return fail(Code::LoadFailed, "{}: the file is empty", path.string());
  return text;
}

// vocabulary.txt: a token a line; vocabulary.json: an array of them.
Result<> read_vocabulary(const fs::path& folder, ModelFile* file) {
  std::vector<std::string> tokens;
  if (file_exists(folder / "vocabulary.json")) {
    VERGE_ASSIGN(text, read_text(folder / "vocabulary.json", limits::kTokenizerJsonBytes));
    VERGE_ASSIGN(value, parse_config_json(text));
    if (!value.is_array()) return fail(Code::LoadFailed, "{}/vocabulary.json: not an array", folder.string());
    for (const json::value& item : value.get_array()) {
      if (!item.is_string()) return fail(Code::LoadFailed, "{}/vocabulary.json: a token is no string", folder.string());
      tokens.emplace_back(item.get_string().c_str(), item.get_string().size());
    }
  } else {
    VERGE_ASSIGN(text, read_text(folder / "vocabulary.txt", limits::kTokenizerJsonBytes));
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      tokens.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  file->meta["tokens"] = std::move(tokens);
  file->meta["tokens_byte_level"] = true;
  return {};
}

// A list of numbers, or of lists of numbers one after another.
void flatten(const json::array& list, std::vector<int64_t>* out) {
  for (const json::value& item : list) {
    if (item.is_int64()) out->push_back(item.get_int64());
    if (item.is_array()) flatten(item.get_array(), out);
  }
}

Result<> read_config(const fs::path& folder, ModelFile* file) {
  VERGE_ASSIGN(text, read_text(folder / "config.json", limits::kConfigJsonBytes));
  VERGE_ASSIGN(value, parse_config_json(text));
  if (!value.is_object()) return fail(Code::LoadFailed, "{}/config.json: not an object", folder.string());
  const std::pair<const char*, const char*> keys[] = {
      {"alignment_heads", "alignment_heads"}, {"suppress_ids", "suppress_tokens"}, {"suppress_ids_begin", "begin_suppress_tokens"}};
  for (const auto& [from, to] : keys) {
    const json::array* list = get_array(value.get_object(), from);
    if (!list) continue;
    std::vector<int64_t> numbers;
    flatten(*list, &numbers);
    file->meta[to] = std::move(numbers);
  }
  return {};
}

}  // namespace

bool is_ctranslate2(std::span<const std::byte> bytes) {
  uint32_t version = 0;
  constexpr size_t kHead = sizeof(version) + 2;
  if (bytes.size() < kHead + kSpec.size()) return false;
  std::memcpy(&version, bytes.data(), sizeof(version));
  return version >= 1 && version < 64 && std::memcmp(bytes.data() + kHead, kSpec.data(), kSpec.size()) == 0;
}

Result<> parse_ctranslate2(std::span<const std::byte> bytes, ModelFile* file) {
  VERGE_ASSIGN(variables, read_variables(bytes, file->path));
  VERGE_TRY(Names(std::move(variables), file).run());
  return align_tensors(file);
}

Result<std::shared_ptr<ModelFile>> open_ctranslate2(const std::string& folder) {
  auto file = std::make_shared<ModelFile>();
  file->path = folder;
  file->format = "ctranslate2";
  file->architecture = "whisper";
  VERGE_ASSIGN(map, MappedFile::open((fs::path(folder) / "model.bin").string()));
  file->maps.push_back(map);
  VERGE_TRY(parse_ctranslate2(map->bytes(), file.get()));
  VERGE_TRY(read_config(folder, file.get()));
  VERGE_TRY(read_vocabulary(folder, file.get()));
  return file;
}

}  // namespace verge::engine
