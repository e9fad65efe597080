#include "node/io/installed.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "support/io_thread.h"

namespace verge::node {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBuiltin = "builtin:";

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

std::string path_of(const std::string& id, const std::vector<std::string>& places, const std::string& models_folder) {
  assert(!on_io_thread());
  if (std::string path = loadable(fs::path(models_folder) / id); !path.empty()) return path;
  for (const std::string& place : places) {
    if (place.starts_with(kBuiltin)) {
      if (std::string path = builtin_path(std::string_view(place).substr(kBuiltin.size())); !path.empty()) return path;
      continue;
    }
    std::error_code ec;
    if (fs::exists(place, ec)) return place;
  }
  return {};
}

std::vector<std::string> places_of(const catalogue::Entry& entry) {
  std::vector<std::string> places;
  for (const catalogue::Source& source : entry.sources)
    if (source.kind == catalogue::Source::Kind::Path) places.push_back(source.location);
  return places;
}

std::string stamp_of(const fs::path& path, const struct stat& file) {
  return fmt::format("{}:{}:{}.{:09}:{} ", path.filename().string(), file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec, file.st_ino);
}

}  // namespace

std::string default_models_folder() {
  if (const char* own = std::getenv("VERGE_MODELS"); own && *own) return own;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return std::string(cache) + "/verge/models";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : "/root") + "/.cache/verge/models";
}

std::string installed_path(const catalogue::Entry& entry, const std::string& models_folder) {
  return path_of(entry.id, places_of(entry), models_folder);
}

std::vector<Sought> sought_models(const catalogue::Catalogue& catalogue, const ResolveOptions& options) {
  std::vector<Sought> out;
  for (const auto& [id, path] : options.paths) out.push_back({id, path, {}});
  for (const catalogue::Entry* entry : catalogue.all())
    if (!options.paths.contains(entry->id)) out.push_back({entry->id, "", places_of(*entry)});
  return out;
}

Installed look_at(const std::string& path) {
  assert(!on_io_thread());
  Installed found{path, 0, ""};
  struct stat whole {};
  if (::stat(path.c_str(), &whole) != 0) return found;
  if (S_ISREG(whole.st_mode)) {
    found.bytes = static_cast<uint64_t>(whole.st_size);
    found.stamp = stamp_of(path, whole);
    return found;
  }
  std::error_code ec;
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(path, ec)) files.push_back(file.path());
  std::sort(files.begin(), files.end());
  found.stamp = "folder ";
  for (const fs::path& file : files) {
    struct stat one {};
    if (::stat(file.c_str(), &one) != 0 || !S_ISREG(one.st_mode) || file.filename() == "verge-model.json") continue;
    if (is_weight_file(file)) found.bytes += static_cast<uint64_t>(one.st_size);
    found.stamp += stamp_of(file, one);
  }
  return found;
}

std::vector<std::string> places_of(const std::vector<Sought>& models, const std::string& models_folder) {
  std::set<std::string> places{models_folder};
  for (const Sought& model : models) {
    if (!model.given.empty()) {
      places.insert(model.given);
      continue;
    }
    for (size_t at = 0; at != model.id.npos;) {
      at = model.id.find('/', at + 1);
      places.insert(models_folder + "/" + model.id.substr(0, at));
    }
    for (const std::string& place : model.places)
      if (!place.starts_with(kBuiltin)) places.insert(place);
  }
  return {places.begin(), places.end()};
}

Installations look_for(const std::vector<Sought>& models, const std::string& models_folder) {
  Installations out;
  for (const Sought& model : models) {
    const std::string path = model.given.empty() ? path_of(model.id, model.places, models_folder) : model.given;
    if (path.empty()) continue;
    Installed found = look_at(path);
    if (!found.stamp.empty()) out.emplace(model.id, std::move(found));
  }
  return out;
}

}  // namespace verge::node
