#include "node/io/remove.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "node/io/model_lock.h"
#include "node/io/pull.h"
#include "node/io/installed.h"

namespace verge::node {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> arguments_of(const fs::path& process) {
  std::ifstream file(process / "cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<std::string> out;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\0', at), all.size());
    out.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

bool inside(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

// A process that was started for a model in `folder` (node.cpp: verge worker --model PATH); 0 =
// none that can be read.
int loaded_by(const std::string& folder) {
  std::error_code ec;
  const std::string real = fs::weakly_canonical(folder, ec).string();
  for (auto it = fs::directory_iterator("/proc", ec); !ec && it != fs::directory_iterator();
       it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (!std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c); })) continue;
    const std::vector<std::string> words = arguments_of(it->path());
    if (words.size() < 4 || words[1] != "worker" || words[2] != "--model") continue;
    std::error_code ignored;
    if (inside(words[3], folder) || inside(fs::weakly_canonical(words[3], ignored).string(), real))
      return std::stoi(name);
  }
  return 0;
}

Error not_here(const catalogue::Entry& entry, const RemoveOptions& options) {
  const std::string elsewhere = installed_path(entry, options.models_folder);
  if (elsewhere.empty())
    return fail(Code::NoSuchModel, "{} is not in {}: nothing to remove", entry.id,
                options.models_folder);
  return fail(Code::NoSuchModel, "{} was not pulled: its files are {}, and are left there",
              entry.id, elsewhere);
}

}  // namespace

uint64_t bytes_at(const std::string& path) {
  std::error_code ec;
  if (fs::is_regular_file(path, ec)) return fs::file_size(path, ec);
  uint64_t sum = 0;
  for (auto it = fs::recursive_directory_iterator(path, ec);
       !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) sum += it->file_size(ignored);
  }
  return sum;
}

Result<uint64_t> remove_model(const catalogue::Entry& entry, const RemoveOptions& options) {
  const fs::path folder = fs::path(options.models_folder) / entry.id;
  std::error_code ec;
  if (!fs::is_directory(folder, ec)) return not_here(entry, options);
  VERGE_ASSIGN(lock, ModelLock::take(options.models_folder, entry.id, [&] {
                 options.note("a pull of " + entry.id + " is running: waiting for it");
               }));
  if (!fs::is_directory(folder, ec)) return not_here(entry, options);
  if (const int process = loaded_by(folder.string()); process != 0 && !options.force)
    return fail(Code::Busy,
                "{} is loaded by process {} of a running server: stop that, or say --force "
                "(requests under way end, later ones are refused)",
                entry.id, process);
  const uint64_t bytes = bytes_at(folder.string());
  // Others must not find half of it: without the manifest it is no model, and the folder goes at
  // one stroke.
  const fs::path aside = fs::path(options.models_folder) / fmt::format(".removed-{}", ::getpid());
  fs::remove_all(aside, ec);
  fs::remove(folder / kManifestName, ec);
  fs::rename(folder, aside, ec);
  if (ec) return fail(Code::Io, "cannot remove {}: {}", folder.string(), ec.message());
  fs::remove_all(aside, ec);
  if (ec) return fail(Code::Io, "cannot remove {}: {}", aside.string(), ec.message());
  // Folders of the id's author, where they are empty now.
  for (fs::path parent = folder.parent_path();
       parent != fs::path(options.models_folder) && fs::remove(parent, ec);
       parent = parent.parent_path()) {}
  return bytes;
}

}  // namespace verge::node
