#include "engine/models/whisper/hub.h"

#include <algorithm>
#include <filesystem>

#include "engine/formats/hub_files.h"
#include "engine/formats/whisper_parts.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

void flatten(const json::array& list, std::vector<int64_t>* out) {
  for (const json::value& item : list) {
    if (item.is_int64()) out->push_back(item.get_int64());
    if (item.is_array()) flatten(item.get_array(), out);
  }
}

// tokenizer.json's vocabulary and what was added to it. Absent files leave the model without words.
Result<> read_tokens(const fs::path& folder, ModelFile* file) {
  VERGE_ASSIGN(tokenizer, read_object(folder / "tokenizer.json", limits::kTokenizerJsonBytes, false));
  if (tokenizer.empty()) return {};
  const json::object* model = get_object(tokenizer, "model");
  const json::object* vocabulary = model ? get_object(*model, "vocab") : nullptr;
  if (!vocabulary) return fail(Code::LoadFailed, "{}/tokenizer.json: no vocabulary", folder.string());
  std::vector<std::string> tokens;
  const auto put = [&](int64_t id, std::string_view text) -> Result<> {
    if (id < 0 || id >= static_cast<int64_t>(limits::kVocabulary)) return fail(Code::LoadFailed, "{}/tokenizer.json: token {}", folder.string(), id);
    if (tokens.size() <= static_cast<size_t>(id)) tokens.resize(static_cast<size_t>(id) + 1);
    tokens[static_cast<size_t>(id)] = text;
    return {};
  };
  for (const auto& [text, id] : *vocabulary) {
    if (!id.is_int64()) return fail(Code::LoadFailed, "{}/tokenizer.json: a token's id is no whole number", folder.string());
    VERGE_TRY(put(id.get_int64(), text));
  }
  if (const json::array* added = get_array(tokenizer, "added_tokens")) {
    for (const json::value& item : *added) {
      if (const json::object* token = item.if_object()) VERGE_TRY(put(get_int(*token, "id").value_or(-1), get_string(*token, "content").value_or("")));
    }
  }
  file->meta["tokens"] = std::move(tokens);
  file->meta["tokens_byte_level"] = true;
  return {};
}

}  // namespace

Result<> read_whisper_hub(ModelFile* file) {
  const std::string& folder = file->path;
  const json::object config = std::move(file->config);
  file->tensors = std::move(file->hub_tensors);
  file->architecture = "whisper";
  if (get_string(config, "activation_function").value_or("gelu") != "gelu") return fail(Code::LoadFailed, "{}: 'activation_function' must be 'gelu'", file->path);
  if (get_bool(config, "scale_embedding").value_or(false)) return fail(Code::LoadFailed, "{}: 'scale_embedding' is not supported", file->path);
  for (const char* key : {"encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"}) {
    const auto value = get_int(config, key);
    if (!value) return fail(Code::LoadFailed, "{}: '{}' is missing", file->path, key);
    file->meta[key] = *value;
  }
  VERGE_ASSIGN(generation, read_object(fs::path(folder) / "generation_config.json", limits::kConfigJsonBytes, false));
  if (auto multilingual = get_bool(generation, "is_multilingual")) file->meta["is_multilingual"] = *multilingual;
  if (const json::array* heads = get_array(generation, "alignment_heads")) {
    std::vector<int64_t> numbers;
    flatten(*heads, &numbers);
    file->meta["alignment_heads"] = std::move(numbers);
  }
  file->tensors.erase("proj_out.weight");  // tied to the embedding
  VERGE_TRY(read_tokens(folder, file));
  return align_tensors(file);
}

}  // namespace verge::engine
