#include "store/backup.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string_view>
#include <utility>

namespace verge::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "SQLite format 3";
constexpr int kBusyMs = 500;
constexpr int kSnapshots = 100;

struct Close {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using Handle = std::unique_ptr<sqlite3, Close>;

Result<Handle> open(const std::string& path, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Handle db(raw);
  if (code != SQLITE_OK)
    return fail(Code::Io, "{}: {}", path, raw ? sqlite3_errmsg(raw) : "out of memory");
  sqlite3_busy_timeout(raw, kBusyMs);
  return db;
}

// By SQLite's own locks. False: somebody holds it for itself.
Result<bool> copy_shared(const std::string& from, const std::string& to) {
  VERGE_ASSIGN(source, open(from, SQLITE_OPEN_READONLY));
  VERGE_ASSIGN(target, open(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  sqlite3_backup* backup = sqlite3_backup_init(target.get(), "main", source.get(), "main");
  if (!backup) return fail(Code::Io, "{}: {}", to, sqlite3_errmsg(target.get()));
  int code = SQLITE_OK;
  for (int i = 0; i < kSnapshots && (code = sqlite3_backup_step(backup, -1)) != SQLITE_DONE; ++i) {
    if (code != SQLITE_OK) break;
  }
  sqlite3_backup_finish(backup);
  if (code == SQLITE_DONE) return true;
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_CANTOPEN ||
      code == SQLITE_READONLY)
    return false;
  return fail(code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? Code::LoadFailed : Code::Io,
              "{}: {}", from, sqlite3_errstr(code));
}

// Database and log as they lie on the disk. The log is only appended to while the database file
// stays as it is: copied between two looks at an unchanged one, both are of one moment, but for a
// commit at the log's end that is not whole and is left out.
Result<void> copy_files(const std::string& from, const std::string& to) {
  std::error_code ec;
  const auto state = [&] {
    return std::pair(fs::last_write_time(from, ec), fs::file_size(from, ec));
  };
  for (int i = 0; i < kSnapshots; ++i) {
    const auto before = state();
    fs::copy_file(from, to, fs::copy_options::overwrite_existing, ec);
    if (ec) return fail(Code::Io, "{}: {}", from, ec.message());
    fs::remove(to + "-wal", ec);
    fs::copy_file(from + "-wal", to + "-wal", ec);
    if (state() == before) return {};
  }
  return fail(Code::Busy, "{} changes too fast to be copied", from);
}

Result<void> run(sqlite3* db, const std::string& path, const char* sql) {
  std::string first;
  const auto row = [](void* text, int columns, char** values, char**) {
    if (columns > 0 && values[0] && static_cast<std::string*>(text)->empty())
      *static_cast<std::string*>(text) = values[0];
    return 0;
  };
  const bool checks = std::string_view(sql).ends_with("quick_check");
  if (sqlite3_exec(db, sql, row, &first, nullptr) != SQLITE_OK)
    return fail(Code::LoadFailed, "{}: {}", path, sqlite3_errmsg(db));
  if (checks && first != "ok") return fail(Code::LoadFailed, "{} is damaged: {}", path, first);
  return {};
}

Result<void> sync(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!synced) return fail(Code::Io, "{}: {}", path, std::strerror(error));
  return {};
}

}  // namespace

bool is_database(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char begin[kMagic.size()] = {};
  file.read(begin, sizeof begin);
  return file && std::string_view(begin, sizeof begin) == kMagic;
}

Result<void> copy_database(const std::string& from, const std::string& to) {
  VERGE_ASSIGN(shared, copy_shared(from, to));
  if (!shared) {
    std::error_code ec;
    fs::remove(to, ec);
    VERGE_TRY(copy_files(from, to));
  }
  {
    VERGE_ASSIGN(copy, open(to, SQLITE_OPEN_READWRITE));
    VERGE_TRY(run(copy.get(), from, "PRAGMA quick_check"));
    VERGE_TRY(run(copy.get(), from, "PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  std::error_code ec;
  fs::permissions(to, fs::perms::owner_read | fs::perms::owner_write, ec);
  for (const char* beside : {"-wal", "-shm", "-journal"}) fs::remove(to + beside, ec);
  return sync(to);
}

}  // namespace verge::store
