// Sources: sentence-transformers' modules.json, Pooling and Dense (5.x writes "pooling_mode": "mean", before that one flag a mode).
#include "engine/formats/sentence_modules.h"

#include <filesystem>

#include "engine/formats/config_json.h"
#include "engine/formats/hub_files.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

struct Mode {
  const char *flag, *name;
  int64_t type;  // GGUF's; 0 = not served
};
constexpr Mode kModes[] = {
    {"pooling_mode_mean_tokens", "mean", 1},
    {"pooling_mode_cls_token", "cls", 2},
    {"pooling_mode_lasttoken", "lasttoken", 3},
    {"pooling_mode_max_tokens", "max", 0},
    {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", 0},
    {"pooling_mode_weightedmean_tokens", "weightedmean", 0},
};

// Modes that are on; several would be vectors put behind each other.
Result<int64_t> pooling_type(const json::object& config, const std::string& path) {
  int64_t type = 0;
  int on = 0;
  const auto named = get_string(config, "pooling_mode");
  for (const Mode& mode : kModes) {
    if (named ? *named != mode.name : !get_bool(config, mode.flag).value_or(false)) continue;
    type = mode.type;
    ++on;
  }
  if (on != 1 || type == 0) return fail(Code::LoadFailed, "{}: exactly one of mean, cls and last-token pooling is supported", path);
  return type;
}

Result<std::string> activation(const json::object& config, const std::string& path) {
  const std::string name = get_string(config, "activation_function").value_or("torch.nn.modules.activation.Tanh");  // Dense's default
  if (name.ends_with(".Identity")) return std::string("identity");
  if (name.ends_with(".Tanh")) return std::string("tanh");
  return fail(Code::LoadFailed, "{}: activation '{}' is not supported (Identity and Tanh are)", path, name.substr(0, 100));
}

bool plain_name(std::string_view name) { return !name.empty() && name[0] != '.' && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos; }

class Reader {
 public:
  Reader(const std::string& folder, ModelFile* file) : folder_(folder), path_((folder_ / "modules.json").string()), file_(file) {}

  Result<std::vector<DenseModule>> read() {
    VERGE_ASSIGN(text, read_text(path_, limits::kConfigJsonBytes));
    if (!text) return std::vector<DenseModule>();
    auto modules = parse_config_json(*text);
    if (!modules || !modules->is_array()) return fail(Code::LoadFailed, "{}: not a JSON array", path_);
    if (modules->get_array().size() > limits::kSentenceModules) return fail(Code::LoadFailed, "{}: more than {} modules", path_, limits::kSentenceModules);
    int index = 0;
    for (const json::value& module : modules->get_array()) {
      if (!module.is_object()) return fail(Code::LoadFailed, "{}: a module is no object", path_);
      VERGE_TRY(take(module.get_object(), index++));
    }
    file_->meta.insert_or_assign("pooling.normalize", normalized_);
    return std::move(dense_);
  }

 private:
  Result<> take(const json::object& module, int index) {
    const std::string type = get_string(module, "type").value_or("");
    if (type.ends_with(".Transformer")) return {};
    if (type.ends_with(".Normalize")) {
      normalized_ = true;
      return {};
    }
    if (normalized_) return fail(Code::LoadFailed, "{}: module \"{}\" after Normalize is not supported", path_, type.substr(0, 100));
    if (type.ends_with(".Pooling")) return pooling(module);
    if (type.ends_with(".Dense")) return dense(module, index);
    return fail(Code::LoadFailed, "{}: module \"{}\" is not supported (Transformer, Pooling, Dense and Normalize are)", path_, type.substr(0, 100));
  }

  Result<> pooling(const json::object& module) {
    VERGE_ASSIGN(config_path, place(module, "1_Pooling"));
    VERGE_ASSIGN(config, read_object(config_path / "config.json", limits::kConfigJsonBytes, false));
    if (config.empty()) {
      file_->meta.insert_or_assign("pooling_type", int64_t{1});
      return {};
    }
    VERGE_ASSIGN(type, pooling_type(config, (config_path / "config.json").string()));
    file_->meta.insert_or_assign("pooling_type", type);
    return {};
  }

  Result<> dense(const json::object& module, int index) {
    VERGE_ASSIGN(folder, place(module, fmt::format("{}_Dense", index)));
    VERGE_ASSIGN(config, read_object(folder / "config.json", limits::kConfigJsonBytes, true));
    VERGE_ASSIGN(name, activation(config, (folder / "config.json").string()));
    file_->meta.insert_or_assign(fmt::format("dense_{}.activation", index), std::move(name));
    dense_.push_back({index, folder.string()});
    return {};
  }

  // The module's folder. Its name is data: only a plain one inside the model's folder is opened.
  Result<fs::path> place(const json::object& module, const std::string& usual) const {
    const std::string name = get_string(module, "path").value_or(usual);
    if (!plain_name(name)) return fail(Code::LoadFailed, "{}: '{}' is not a plain folder name", path_, name.substr(0, 100));
    return folder_ / name;
  }

  const fs::path folder_;
  const std::string path_;
  ModelFile* file_;
  bool normalized_ = false;
  std::vector<DenseModule> dense_;
};

}  // namespace

Result<std::vector<DenseModule>> read_sentence_files(const std::string& folder, ModelFile* file) {
  VERGE_ASSIGN(settings, read_object(fs::path(folder) / "sentence_bert_config.json", limits::kConfigJsonBytes, false));
  if (const auto longest = get_int(settings, "max_seq_length"); longest && *longest > 2) file->meta.insert_or_assign("max_sequence_length", *longest);
  return Reader(folder, file).read();
}

}  // namespace verge::engine
