#include "commands/backup.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "server/data_folder.h"
#include "commands/sizes.h"
#include "store/backup.h"
#include "support/json.h"

namespace verge::commands {
namespace {

namespace fs = std::filesystem;

struct Copied {
  int files = 0;
  uint64_t bytes = 0;
};

// What SQLite keeps beside a database, of those that are databases.
bool belongs_to_one(const std::string& path, const std::set<std::string>& databases) {
  for (const std::string_view beside : {"-wal", "-shm", "-journal"})
    if (path.ends_with(beside) && databases.contains(path.substr(0, path.size() - beside.size())))
      return true;
  return false;
}

Result<void> copy_plain(const fs::path& from, const fs::path& to) {
  std::error_code ec;
  fs::copy_file(from, to, ec);
  if (ec && fs::exists(from)) return fail(Code::Io, "{}: {}", from.string(), ec.message());
  return {};  // one that went meanwhile is none of the backup
}

// Databases first: what a Worker's storage keeps in files of its own is named by them, and is
// written before.
Result<Copied> copy_folder(const fs::path& from, const fs::path& to) {
  std::vector<fs::path> plain;
  std::set<std::string> databases;
  std::error_code ec;
  fs::create_directories(to, ec);
  if (ec) return fail(Code::Io, "{}: {}", to.string(), ec.message());
  fs::permissions(to, fs::perms::owner_all, ec);
  for (auto it = fs::recursive_directory_iterator(from, ec);
       !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
    std::error_code ignored;
    const fs::path path = it->path();
    if (it->is_symlink(ignored)) continue;
    if (it->is_directory(ignored))
      fs::create_directories(to / fs::relative(path, from, ignored), ignored);
    if (!it->is_regular_file(ignored)) continue;
    if (store::is_database(path.string())) databases.insert(path.string());
    else plain.push_back(path);
  }
  if (ec) return fail(Code::Io, "{}: {}", from.string(), ec.message());
  for (const std::string& path : databases)
    VERGE_TRY(store::copy_database(path, (to / fs::relative(path, from)).string()));
  for (const fs::path& path : plain)
    if (!belongs_to_one(path.string(), databases))
      VERGE_TRY(copy_plain(path, to / fs::relative(path, from)));
  Copied copied;
  for (const auto& entry : fs::recursive_directory_iterator(to, ec)) {
    if (!entry.is_regular_file()) continue;
    ++copied.files;
    copied.bytes += entry.file_size();
  }
  return copied;
}

Result<Copied> back_up(const std::string& data, const std::string& to) {
  std::error_code ec;
  const fs::path from = fs::canonical(data, ec);
  if (ec || !fs::is_directory(from))
    return fail(Code::NotFound, "there is no data folder {}: --data names it", data);
  const fs::path target = fs::weakly_canonical(fs::absolute(to), ec);
  if (fs::exists(target, ec))
    return fail(Code::InvalidInput, "{} is there: a backup is a new folder", to);
  if ((target.string() + "/").starts_with(from.string() + "/"))
    return fail(Code::InvalidInput, "{} is inside the data folder", to);
  // Under its name only when it is whole.
  const fs::path part = target.string() + ".part";
  fs::remove_all(part, ec);
  auto copied = copy_folder(from, part);
  if (copied) fs::rename(part, target, ec);
  if (copied && !ec) return copied;
  std::error_code ignored;
  fs::remove_all(part, ignored);
  if (!copied) return copied;
  return fail(Code::Io, "{}: {}", to, ec.message());
}

}  // namespace

int backup(int argc, char** argv) {
  CLI::App app(
      "Copy a data folder, whose server may be running: tokens, accounts, usage, what hosted "
      "Workers keep.",
      argv[0]);
  std::string data = server::default_data_folder(), to;
  bool as_object = false;
  app.add_option("to", to, "Folder to make")->required();
  app.add_option("--data", data, "Data folder of the server")->capture_default_str();
  app.add_flag("--json", as_object, "Print JSON");
  app.footer("To restore: stop the server, put the copy in the data folder's place, start it.");
  CLI11_PARSE(app, argc, argv);
  auto copied = back_up(data, to);
  if (!copied) {
    std::fprintf(stderr, "verge backup: %s\n", copied.error().message.c_str());
    return 1;
  }
  if (as_object)
    std::printf("%s\n", json::serialize(json::object{{"folder", to},
                                                     {"files", copied->files},
                                                     {"bytes", copied->bytes}})
                            .c_str());
  else
    std::printf("%s: %d files, %s\n", to.c_str(), copied->files, size_text(copied->bytes).c_str());
  return 0;
}

}  // namespace verge::commands
