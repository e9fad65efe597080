#include "node/resolve.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace verge::node {
namespace {

namespace fs = std::filesystem;

// The 1 MB stories model travels with the program: installed beside it, or in the source tree it was built from.
std::string builtin_path(std::string_view name) {
  std::error_code ec;
  const fs::path program = fs::read_symlink("/proc/self/exe", ec);
  if (ec || name != "stories260K") return {};
  const fs::path folder = program.parent_path();
  for (const fs::path& candidate : {folder / "../share/verge/models/stories260K/stories260K-f32.gguf",
                                    folder / "../../tests/data/models/stories260K/stories260K-f32.gguf"})
    if (fs::exists(candidate, ec)) return fs::canonical(candidate, ec).string();
  return {};
}

bool is_weight_file(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".gguf" || extension == ".safetensors" || extension == ".bin" || extension == ".pth";
}

// A folder that `verge pull` finished: a manifest and no half-written part.
std::string loadable(const fs::path& folder) {
  std::error_code ec;
  if (!fs::is_directory(folder, ec) || !fs::exists(folder / "verge-model.json", ec)) return {};
  fs::path gguf;
  int ggufs = 0;
  for (const auto& file : fs::directory_iterator(folder, ec)) {
    if (file.path().extension() != ".gguf") continue;
    ++ggufs;
    if (gguf.empty() || file.path() < gguf) gguf = file.path();  // the first part of a split file
  }
  if (ggufs > 0) return gguf.string();
  return folder.string();
}

uint64_t weight_bytes(const std::string& path) {
  std::error_code ec;
  if (fs::is_regular_file(path, ec)) return fs::file_size(path, ec);
  uint64_t sum = 0;
  for (const auto& file : fs::directory_iterator(path, ec))
    if (file.is_regular_file(ec) && is_weight_file(file.path())) sum += file.file_size(ec);
  return sum;
}

Resolved resolved(const std::string& id, const std::string& task, const std::string& path, bool substituted) {
  return {.id = id, .task = task, .path = path, .bytes = weight_bytes(path), .substituted = substituted};
}

std::string width_text(const catalogue::Entry& entry) {
  const int width = catalogue::embedding_width(entry);
  return width > 0 ? std::to_string(width) : "a number that is not known";
}

}  // namespace

std::string default_models_folder() {
  if (const char* own = std::getenv("VERGE_MODELS"); own && *own) return own;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return std::string(cache) + "/verge/models";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : "/root") + "/.cache/verge/models";
}

std::string installed_path(const catalogue::Entry& entry, const std::string& models_folder) {
  if (std::string path = loadable(fs::path(models_folder) / entry.id); !path.empty()) return path;
  for (const catalogue::Source& source : entry.sources) {
    if (source.kind != catalogue::Source::Kind::Path) continue;
    constexpr std::string_view kBuiltin = "builtin:";
    if (source.location.starts_with(kBuiltin)) {
      if (std::string path = builtin_path(std::string_view(source.location).substr(kBuiltin.size())); !path.empty()) return path;
      continue;
    }
    std::error_code ec;
    if (fs::exists(source.location, ec)) return source.location;
  }
  return {};
}

namespace {

std::optional<Resolved> here(const ResolveOptions& options, const catalogue::Entry& entry, bool substituted) {
  if (auto it = options.paths.find(entry.id); it != options.paths.end()) return resolved(entry.id, entry.task, it->second, substituted);
  if (std::string path = installed_path(entry, options.models_folder); !path.empty()) return resolved(entry.id, entry.task, path, substituted);
  return std::nullopt;
}

// The task's own stand-in; where that is not here, the model that travels with the program.
std::optional<Resolved> stand_in_for(const catalogue::Catalogue& catalogue, const ResolveOptions& options, const catalogue::Entry& entry) {
  const catalogue::Entry* usual = catalogue.stand_in(entry.task);
  if (usual && catalogue::may_stand_in(*usual, entry))
    if (auto model = here(options, *usual, true)) return model;
  for (const catalogue::Entry* other : catalogue.all()) {
    if (!catalogue::may_stand_in(*other, entry) || other->sources.empty() || !other->sources[0].location.starts_with("builtin:")) continue;
    if (auto model = here(options, *other, true)) return model;
  }
  return std::nullopt;
}

}  // namespace

Result<Resolved> resolve_model(const catalogue::Catalogue& catalogue, const ResolveOptions& options, std::string_view id) {
  const catalogue::Entry* entry = catalogue.find(id);
  const std::string name = entry ? entry->id : std::string(id);
  if (auto it = options.paths.find(name); it != options.paths.end())
    return resolved(name, entry ? entry->task : "text-generation", it->second, false);
  if (!entry) return fail(Code::NoSuchModel, "No such model {} or task", id);
  if (auto named = options.named_stand_ins.find(name); named != options.named_stand_ins.end()) {
    const catalogue::Entry* other = catalogue.find(named->second);
    if (auto model = other ? here(options, *other, true) : std::nullopt) return *model;
    return fail(Code::ModelUnavailable, "model {}, which answers for {}, is not on this machine: run 'verge pull {}', or start the server with --model {}=PATH", named->second, name,
                named->second, named->second);
  }
  if (std::string path = installed_path(*entry, options.models_folder); !path.empty()) return resolved(name, entry->task, path, false);
  std::string hint;
  if (options.stand_ins) {
    if (auto other = stand_in_for(catalogue, options, *entry)) return *other;
    const catalogue::Entry* usual = catalogue.stand_in(entry->task);
    if (usual && usual != entry && !catalogue::may_stand_in(*usual, *entry))
      hint = fmt::format(". Its stand-in {} makes vectors of another width ({} numbers, not {}), which do not go with its own; --stand-in {}={} answers with it all the same", usual->id,
                         catalogue::embedding_width(*usual), width_text(*entry), name, usual->id);
  }
  return fail(Code::ModelUnavailable, "model {} is not on this machine: run 'verge pull {}', or start the server with --model {}=PATH{}{}", name, name, name,
              options.stand_ins ? "" : " or --stand-ins", hint);
}

std::vector<std::pair<std::string, Resolved>> offered_models(const catalogue::Catalogue& catalogue, const ResolveOptions& options) {
  std::vector<std::pair<std::string, Resolved>> out;
  for (const catalogue::Entry* entry : catalogue.all())
    if (auto model = resolve_model(catalogue, options, entry->id)) out.emplace_back(entry->id, std::move(*model));
  return out;
}

}  // namespace verge::node
