#include "engine/formats/model_file.h"

#include <cmath>
#include <cstring>
#include <filesystem>

#include "engine/formats/ctranslate2.h"
#include "engine/formats/file_access.h"
#include "engine/formats/gguf.h"
#include "engine/formats/hub.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/whisper_bin.h"

namespace verge::engine {

std::optional<int64_t> ModelFile::integer(std::string_view key) const {
  auto it = meta.find(key);
  if (it == meta.end()) return std::nullopt;
  if (const auto* value = std::get_if<int64_t>(&it->second)) return *value;
  return std::nullopt;
}

std::optional<double> ModelFile::number(std::string_view key) const {
  auto it = meta.find(key);
  if (it == meta.end()) return std::nullopt;
  if (const auto* value = std::get_if<double>(&it->second)) return *value;
  if (const auto* value = std::get_if<int64_t>(&it->second)) return static_cast<double>(*value);
  return std::nullopt;
}

std::optional<std::string> ModelFile::text(std::string_view key) const {
  auto it = meta.find(key);
  if (it == meta.end()) return std::nullopt;
  if (const auto* value = std::get_if<std::string>(&it->second)) return *value;
  return std::nullopt;
}

std::optional<bool> ModelFile::boolean(std::string_view key) const {
  auto it = meta.find(key);
  if (it == meta.end()) return std::nullopt;
  if (const auto* value = std::get_if<bool>(&it->second)) return *value;
  return std::nullopt;
}

namespace {

// A folder is CTranslate2's where its model.bin is; the hub's layout otherwise.
Result<std::shared_ptr<ModelFile>> open_folder(const std::string& path) {
  const std::filesystem::path binary = std::filesystem::path(path) / "model.bin";
  if (is_file(binary)) {
    VERGE_ASSIGN(map, MappedFile::open(binary.string()));
    if (is_whisper_bin(map->bytes())) return open_whisper_bin(map);
    if (is_ctranslate2(map->bytes())) return open_ctranslate2(path);
  }
  return open_hub(path);
}

}  // namespace

Result<std::shared_ptr<ModelFile>> open_container(const std::string& path) {
  namespace fs = std::filesystem;
  if (is_folder(path)) return open_folder(path);
  VERGE_ASSIGN(map, MappedFile::open(path));
  if (is_gguf(map->bytes())) return open_gguf(map);
  if (is_whisper_bin(map->bytes())) return open_whisper_bin(map);
  if (is_ctranslate2(map->bytes())) return open_ctranslate2(fs::path(path).has_parent_path() ? fs::path(path).parent_path().string() : ".");
  // config.json or one of the weight files of a folder in the hub's layout stands for the folder.
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (is_file(folder / "config.json")) {
    const auto bytes = map->bytes();
    const bool json = bytes[0] == std::byte{'{'}, safetensors = bytes.size() > 8 && bytes[8] == std::byte{'{'};
    if (json || safetensors) return open_hub(folder.string());
  }
  return fail(Code::LoadFailed, "{}: neither a GGUF file nor part of a folder with config.json and safetensors", path);
}

}  // namespace verge::engine
