#include "engine/task_of.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/formats/config_json.h"
#include "engine/formats/file_access.h"
#include "engine/formats/model_file.h"
#include "support/json.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;
using Row = std::pair<std::string_view, const char*>;

constexpr const char* kText = "text-generation";
constexpr const char* kEmbeddings = "text-embeddings";
constexpr const char* kTextClasses = "text-classification";
constexpr const char* kImageClasses = "image-classification";
constexpr const char* kObjects = "object-detection";
constexpr const char* kSpeech = "automatic-speech-recognition";
constexpr const char* kSpoken = "text-to-speech";

// Ends of the hub's class names: "BertForSequenceClassification", "DetrForObjectDetection".
constexpr Row kClassEnds[] = {
    {"ForCausalLM", kText},
    {"ForSequenceClassification", kTextClasses},
    {"ForImageClassification", kImageClasses},
    {"ForObjectDetection", kObjects},
    {"WhisperForConditionalGeneration", kSpeech},
};

// By model type, for folders whose class says nothing: a bare BertModel, an image network without a class.
constexpr Row kTypes[] = {
    {"bert", kEmbeddings},          {"distilbert", kEmbeddings},        {"roberta", kEmbeddings},
    {"xlm-roberta", kEmbeddings},   {"camembert", kEmbeddings},         {"mpnet", kEmbeddings},
    {"whisper", kSpeech},           {"resnet", kImageClasses},          {"vit", kImageClasses},
    {"efficientnet", kImageClasses}, {"detr", kObjects},                {"modernbert", kEmbeddings},
    {"hibari", kSpoken},
};

// GGUF's architectures that are no language models.
constexpr Row kGgufTypes[] = {
    {"bert", kEmbeddings}, {"nomic-bert", kEmbeddings}, {"jina-bert-v2", kEmbeddings}, {"gemma-embedding", kEmbeddings}, {"whisper", kSpeech},
};

Result<json::object> read_config(const fs::path& path) {
  VERGE_ASSIGN(text, read_file(path, limits::kConfigJsonBytes));
  auto value = parse_config_json(text);
  if (!value) return fail(Code::LoadFailed, "{}: {}", path.string(), value.error().message);
  if (!value->is_object()) return fail(Code::LoadFailed, "{}: not a JSON object", path.string());
  return std::move(value->get_object());
}

template <size_t N>
const char* by_type(const Row (&table)[N], std::string_view type) {
  const auto* row = std::find_if(table, table + N, [&](const Row& r) { return r.first == type; });
  return row == table + N ? nullptr : row->second;
}

// sentence-transformers' own file makes any model an embedder, decoders too.
bool is_sentence_transformer(const fs::path& folder) {
  return file_exists(folder / "modules.json");
}

const char* task_of_config(const json::object& config, bool sentence_transformer) {
  std::string class_name;
  if (const json::array* names = get_array(config, "architectures"); names && !names->empty() && names->front().is_string())
    class_name = names->front().get_string();
  const std::string type = get_string(config, "model_type").value_or("");
  for (const auto& [end, task] : kClassEnds) {
    if (!class_name.ends_with(end)) continue;
    return task == kText && sentence_transformer ? kEmbeddings : task;
  }
  if (sentence_transformer) return kEmbeddings;
  if (const char* task = by_type(kTypes, type)) return task;
  return class_name.ends_with("Model") ? kEmbeddings : kText;  // Qwen3Model: a decoder's layers, with nothing to write by
}

bool holds(const fs::path& folder, std::string_view extension) {
  const auto files = files_in(folder);
  return std::any_of(files.begin(), files.end(), [&](const fs::path& path) { return path.extension() == extension; });
}

Result<std::string> task_of_folder(const fs::path& folder) {
  const bool vocabulary = file_exists(folder / "vocabulary.txt") || file_exists(folder / "vocabulary.json");
  if (vocabulary && file_exists(folder / "model.bin")) return std::string(kSpeech);
  if (file_exists(folder / "config.json")) {
    VERGE_ASSIGN(config, read_config(folder / "config.json"));
    return std::string(task_of_config(config, is_sentence_transformer(folder)));
  }
  return std::string(holds(folder, ".pth") || holds(folder, ".pt") ? kImageClasses : kText);
}

}  // namespace

Result<std::string> task_of(const std::string& path) {
  if (is_folder(path)) return task_of_folder(path);
  VERGE_ASSIGN(opened, open_file(path));
  std::array<char, 4> magic{};
  if (pread(opened->fd, magic.data(), magic.size(), 0) != static_cast<ssize_t>(magic.size())) return fail(Code::LoadFailed, "{}: too short for a model", path);
  const std::string_view start(magic.data(), magic.size());
  if (start == "lmgg") return std::string(kSpeech);  // 0x67676d6c, whisper.cpp's
  if (start == "GGUF") {
    VERGE_ASSIGN(file, open_container(path));
    if (const char* task = by_type(kGgufTypes, file->architecture)) return std::string(task);
    // Decoders turned into embedders say how their rows are pooled (mean, cls, last; 0 is none).
    const int64_t pooling = file->integer("pooling_type").value_or(0);
    return std::string(pooling >= 1 && pooling <= 3 ? kEmbeddings : kText);
  }
  // Beside a configuration a file stands for its folder, as it does for the loaders.
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (file_exists(folder / "config.json")) return task_of_folder(folder);
  const std::string extension = fs::path(path).extension().string();
  return std::string(extension == ".pth" || extension == ".pt" ? kImageClasses : kText);
}

}  // namespace verge::engine
