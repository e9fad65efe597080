// A folder of the hub becomes a ModelFile in three steps: config.json as it is, weight files to views (safetensors)
// under the hub's names, tokenizer files as text. What keys and names mean, its family knows (models/open.h). Views point
// into the mapped files, except for tensors at odd addresses, which are copied to one owned buffer.
//
// File names out of the index are data: only plain names inside the folder are opened.
#include "engine/formats/hub.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "engine/formats/config_json.h"
#include "engine/formats/file_access.h"
#include "engine/formats/hub_files.h"
#include "engine/formats/llama2c_vocabulary.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/safetensors.h"
#include "engine/formats/sentence_modules.h"
#include "engine/formats/stop_ids.h"
#include "engine/formats/torch_checkpoint.h"
#include "support/json.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

Result<Tensors> open_weights(const fs::path& path, ModelFile* file) {
  VERGE_ASSIGN(map, MappedFile::open(path.string()));
  VERGE_ASSIGN(tensors, parse_safetensors(map->bytes(), path.string()));
  file->maps.push_back(std::move(map));
  return tensors;
}

Result<Tensors> open_torch_weights(const fs::path& path, ModelFile* file) {
  VERGE_ASSIGN(map, MappedFile::open(path.string()));
  VERGE_ASSIGN(tensors, parse_torch_checkpoint(map->bytes(), path.string(), &file->maps));
  file->maps.push_back(std::move(map));
  return tensors;
}

// The index says which shard holds each tensor; other tensors of a shard are left alone.
Result<Tensors> open_shards(const fs::path& folder, const json::object& index, const fs::path& index_path, ModelFile* file) {
  const json::object* places = get_object(index, "weight_map");
  if (!places || places->empty()) return fail(Code::LoadFailed, "{}: no 'weight_map'", index_path.string());
  if (places->size() > limits::kTensorCount) return fail(Code::LoadFailed, "{}: {} tensors, limit {}", index_path.string(), places->size(), limits::kTensorCount);
  std::map<std::string, Tensors> shards;
  Tensors tensors;
  for (const auto& place : *places) {
    if (!place.value().is_string()) return fail(Code::LoadFailed, "{}: 'weight_map' must hold file names", index_path.string());
    const std::string shard(place.value().get_string());
    if (shard.empty() || shard.find_first_of("/\\") != std::string::npos || shard.find('\0') != std::string::npos || shard.starts_with(".")) {
      return fail(Code::LoadFailed, "{}: '{}' is not a plain file name", index_path.string(), shard.substr(0, 100));
    }
    auto it = shards.find(shard);
    if (it == shards.end()) {
      if (shards.size() >= limits::kSplitFiles) return fail(Code::LoadFailed, "{}: more than {} shards", index_path.string(), limits::kSplitFiles);
      VERGE_ASSIGN(opened, open_weights(folder / shard, file));
      it = shards.emplace(shard, std::move(opened)).first;
    }
    const auto found = it->second.find(std::string_view(place.key()));
    if (found == it->second.end()) return fail(Code::LoadFailed, "{}: tensor '{}' is not in {}", index_path.string(), std::string_view(place.key()), shard);
    tensors.insert(*found);
  }
  return tensors;
}

Result<Tensors> open_all_weights(const fs::path& folder, ModelFile* file) {
  if (file_exists(folder / "model.safetensors")) return open_weights(folder / "model.safetensors", file);
  const fs::path index_path = folder / "model.safetensors.index.json", torch_path = folder / "pytorch_model.bin";
  if (!file_exists(index_path) && file_exists(torch_path)) return open_torch_weights(torch_path, file);
  if (!file_exists(index_path)) return fail(Code::LoadFailed, "{}: neither model.safetensors nor model.safetensors.index.json nor pytorch_model.bin", folder.string());
  VERGE_ASSIGN(index, read_object(index_path, limits::kConfigJsonBytes, true));
  return open_shards(folder, index, index_path, file);
}

bool misaligned(const TensorView& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.data) % static_cast<uintptr_t>(info(tensor.type).block_bytes) != 0;
}

// Copies tensors at odd addresses to memory that the file owns.
Result<> align(Tensors& tensors, ModelFile* file) {
  constexpr size_t kAlign = 64;
  const auto room = [](const TensorView& tensor) { return (tensor.bytes + kAlign - 1) / kAlign * kAlign; };
  size_t total = 0;
  for (const auto& [name, tensor] : tensors) total += misaligned(tensor) ? room(tensor) : 0;
  if (total == 0) return {};
  VERGE_ASSIGN(owned, MappedFile::allocate(total, file->path));
  std::byte* at = owned->owned_data();
  for (auto& [name, tensor] : tensors) {
    if (!misaligned(tensor)) continue;
    std::memcpy(at, tensor.data, tensor.bytes);
    tensor.data = at;
    at += room(tensor);
  }
  file->maps.push_back(std::move(owned));
  return {};
}

// A dense layer's "linear.weight" and "linear.bias".
Result<> place_dense(const DenseModule& module, ModelFile* file) {
  VERGE_ASSIGN(tensors, open_all_weights(module.folder, file));
  VERGE_TRY(align(tensors, file));
  for (const auto& [name, view] : tensors) {
    if (name != "linear.weight" && name != "linear.bias") return fail(Code::LoadFailed, "{}: tensor '{}' is not known", module.folder, name.substr(0, 100));
    file->tensors.insert_or_assign(fmt::format("dense_{}.{}", module.index, name.substr(name.find('.') + 1)), view);
  }
  return {};
}

// "eos_token_id" is a number or a list.
void add_eos(const json::object& config, ModelFile* file) {
  const json::value* eos = config.if_contains("eos_token_id");
  if (!eos) return;
  if (!eos->is_array()) return add_stop_id(token_id(*eos), &file->stop_ids);
  for (const json::value& id : eos->get_array()) add_stop_id(token_id(id), &file->stop_ids);
}

// tokenizer_config.json writes a token as a string or as {"content": …}.
std::string token_text(const json::object& object, std::string_view key) {
  if (auto text = get_string(object, key)) return *text;
  const json::object* token = get_object(object, key);
  return token ? get_string(*token, "content").value_or("") : "";
}

void add_stop_tokens(const json::object& tokenizer_config, ModelFile* file) {
  const std::string eos = token_text(tokenizer_config, "eos_token");
  const auto consider = [&](int64_t id, const std::string& content) {
    if (!content.empty() && (content == eos || ends_turn(content))) add_stop_id(id, &file->stop_ids);
  };
  if (const json::object* added = get_object(tokenizer_config, "added_tokens_decoder")) {
    for (const auto& entry : *added) {
      const std::string key(entry.key());
      const json::object* token = entry.value().if_object();
      const bool number = !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
      if (token && number) consider(std::stol(key), get_string(*token, "content").value_or(""));
    }
    return;
  }
  // Older folders: the list is in tokenizer.json alone. A fault in it is the tokenizer's to report.
  auto tokenizer = parse_config_json(file->tokenizer_json);
  const json::object* root = tokenizer ? tokenizer->if_object() : nullptr;
  const json::array* added = root ? get_array(*root, "added_tokens") : nullptr;
  if (!added) return;
  for (const json::value& item : *added) {
    if (const json::object* token = item.if_object()) consider(get_int(*token, "id").value_or(-1), get_string(*token, "content").value_or(""));
  }
}

// chat_template: a string, or a list of {"name", "template"} of which "default" is meant.
std::string template_of(const json::object& tokenizer_config) {
  if (auto text = get_string(tokenizer_config, "chat_template")) return *text;
  if (const json::array* list = get_array(tokenizer_config, "chat_template")) {
    for (const json::value& item : *list) {
      const json::object* entry = item.if_object();
      if (entry && get_string(*entry, "name") == "default") return get_string(*entry, "template").value_or("");
    }
  }
  return "";
}

// Checkpoints that came from llama2.c carry its vocabulary file instead.
Result<> read_bare_vocabulary(const fs::path& folder, const json::object& config, ModelFile* file) {
  const int64_t vocabulary = get_int(config, "vocab_size").value_or(0);
  if (vocabulary < 1 || vocabulary > static_cast<int64_t>(limits::kVocabulary)) return {};
  for (const std::string& name : {std::string("tokenizer.bin"), fmt::format("tok{}.bin", vocabulary)}) {
    VERGE_ASSIGN(bytes, read_text(folder / name, limits::kTokenizerJsonBytes));
    if (bytes) return read_llama2c_vocabulary(*bytes, vocabulary, (folder / name).string(), file);
  }
  return {};
}

Result<> read_tokenizer(const fs::path& folder, const json::object& config, ModelFile* file) {
  VERGE_ASSIGN(tokenizer_json, read_text(folder / "tokenizer.json", limits::kTokenizerJsonBytes));
  file->tokenizer_json = std::move(tokenizer_json).value_or("");
  if (file->tokenizer_json.empty()) {
    VERGE_ASSIGN(model, read_text(folder / "tokenizer.model", limits::kTokenizerJsonBytes));
    file->tokenizer_model = std::move(model).value_or("");
  }
  if (file->tokenizer_json.empty() && file->tokenizer_model.empty()) VERGE_TRY(read_bare_vocabulary(folder, config, file));
  VERGE_ASSIGN(tokenizer_config, read_text(folder / "tokenizer_config.json", limits::kConfigJsonBytes));
  file->tokenizer_config = std::move(tokenizer_config).value_or("");
  json::object settings;
  if (!file->tokenizer_config.empty()) {
    VERGE_ASSIGN(parsed, parse_object(file->tokenizer_config, folder / "tokenizer_config.json"));
    settings = std::move(parsed);
  }
  VERGE_ASSIGN(jinja, read_text(folder / "chat_template.jinja", limits::kTemplateBytes));
  file->chat_template = without_byte_order_mark(jinja ? *jinja : template_of(settings));
  add_eos(config, file);
  // As in transformers, a model goes without a generation_config.json that cannot be read.
  const auto generation =
      read_object(folder / "generation_config.json", limits::kConfigJsonBytes, false);
  if (generation) add_eos(*generation, file);
  else log::warn("generation_config.json is left out", {{"error", generation.error().message}});
  add_stop_tokens(settings, file);
  return {};
}

}  // namespace

Result<std::shared_ptr<ModelFile>> open_hub(const std::string& folder) {
  auto file = std::make_shared<ModelFile>();
  file->path = folder;
  file->format = "hub";
  const fs::path config_path = fs::path(folder) / "config.json";
  VERGE_ASSIGN(config, read_object(config_path, limits::kConfigJsonBytes, true));
  VERGE_ASSIGN(dense, read_sentence_files(folder, file.get()));
  VERGE_ASSIGN(tensors, open_all_weights(folder, file.get()));
  VERGE_TRY(align(tensors, file.get()));
  file->hub_tensors = std::move(tensors);
  for (const DenseModule& module : dense) VERGE_TRY(place_dense(module, file.get()));
  VERGE_TRY(read_tokenizer(folder, config, file.get()));
  file->config = std::move(config);
  return file;
}

}  // namespace verge::engine
