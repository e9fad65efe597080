#include "store/db.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "support/limits.h"

namespace verge::store {
namespace {

struct Hint {
  int code;  // SQLite's
  Code as;
  const char* advice;
};
constexpr Hint kHints[] = {
    {SQLITE_NOTADB, Code::LoadFailed, "the file is damaged: put a backup in its place, or move it away to begin anew"},
    {SQLITE_CORRUPT, Code::LoadFailed, "the file is damaged: put a backup in its place, or move it away to begin anew"},
    {SQLITE_FULL, Code::Io, "the disk is full: make room"},
    {SQLITE_READONLY, Code::Io, "the folder or the file cannot be written"},
    {SQLITE_CANTOPEN, Code::Io, "the folder or the file cannot be written"},
    {SQLITE_BUSY, Code::Busy, "another process uses it: a server that runs with this data folder?"},
};

Error failure(sqlite3* db, std::string_view doing) {
  const char* path = sqlite3_db_filename(db, "main");
  const std::string name = path && *path ? path : "database";
  const std::string said = sqlite3_errmsg(db);
  for (const Hint& hint : kHints)
    if ((sqlite3_errcode(db) & 0xff) == hint.code) return fail(hint.as, "{}: {}: {} ({})", name, doing, said, hint.advice);
  return fail(Code::Io, "{}: {}: {}", name, doing, said);
}

Result<int64_t> single_number(Db& db, std::string_view sql) {
  VERGE_ASSIGN(statement, db.prepare(sql));
  VERGE_ASSIGN(row, statement.step());
  return row ? statement.number(0) : 0;
}

Result<void> migrate(Db& db, const std::string& path, std::span<const char* const> migrations) {
  // The write lock first, then the version: two processes that open a new file at once take turns.
  VERGE_TRY(db.execute("BEGIN IMMEDIATE"));
  VERGE_ASSIGN(version, single_number(db, "PRAGMA user_version"));
  if (version > static_cast<int64_t>(migrations.size())) {
    VERGE_TRY(db.execute("ROLLBACK"));
    return fail(Code::LoadFailed, "{}: its version {} is newer than this program knows ({}); use the newer program", path, version, migrations.size());
  }
  for (auto i = static_cast<size_t>(version); i < migrations.size(); ++i) {
    auto step = [&]() -> Result<void> {
      VERGE_TRY(db.execute(migrations[i]));
      return db.execute(fmt::format("PRAGMA user_version={}", i + 1));
    };
    if (auto done = step(); !done) {
      (void)db.execute("ROLLBACK");
      return done.error();
    }
  }
  return db.execute("COMMIT");
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Db::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

Statement& Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text(statement_.get(), index, text.data() ? text.data() : "", static_cast<int>(text.size()), SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::bind(int index, int64_t number) {
  sqlite3_bind_int64(statement_.get(), index, number);
  return *this;
}

Result<bool> Statement::step() {
  int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  sqlite3* db = sqlite3_db_handle(statement_.get());
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  Error error = failure(db, "running a statement");
  sqlite3_reset(statement_.get());
  return error;
}

std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return text ? std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))) : std::string();
}
int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_.get(), column); }
bool Statement::is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

Result<Db> Db::open(const std::string& path, std::span<const char* const> migrations, Sharing sharing) {
  namespace fs = std::filesystem;
  std::error_code ec;
  fs::path folder = fs::path(path).parent_path();
  if (!folder.empty() && !fs::exists(folder, ec)) {
    fs::create_directories(folder, ec);
    if (ec) return fail(Code::Io, "{}: {}", folder.string(), ec.message());
    fs::permissions(folder, fs::perms::owner_all, ec);
  }
  // Created here and not by SQLite, so that the mode is ours whatever the umask. Never opened where it is there: closing it would
  // give up the locks that this process has on it.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno != EEXIST) return fail(Code::Io, "{}: {}", path, std::strerror(errno));
  if (fd >= 0) ::close(fd);

  Db db;
  sqlite3* raw = nullptr;
  // "unix-excl" keeps the index of the log in memory; the usual one maps a file for it, which another process may cut short.
  db.log_ = sharing == Sharing::Alone;
  int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, db.log_ ? "unix-excl" : nullptr);
  db.db_.reset(raw);
  if (code != SQLITE_OK) return fail(Code::Io, "{}: {}", path, raw ? sqlite3_errmsg(raw) : "out of memory");
  sqlite3_busy_timeout(raw, limits::kDbBusyMs);
  for (const char* pragma : {db.log_ ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF"})
    VERGE_TRY(db.execute(pragma));
  VERGE_TRY(migrate(db, path, migrations));
  (void)db.place();  // the log is there now
  return db;
}

Result<Statement> Db::prepare(std::string_view sql) {
  Statement statement;
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(db_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr) != SQLITE_OK)
    return failure(db_.get(), "preparing a statement");
  statement.statement_.reset(raw);
  return statement;
}

Result<void> Db::execute(const std::string& sql) {
  if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return failure(db_.get(), "running a statement");
  return {};
}

Result<void> Db::sync_later() { return execute("PRAGMA synchronous=NORMAL"); }

Result<void> Db::sync() {
  // What a checkpoint has moved out of the log was synced by it. SQLite takes no locks on the log's file, so that closing it loses none.
  const char* log = sqlite3_filename_wal(sqlite3_db_filename(db_.get(), "main"));
  const int fd = ::open(log, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return {};
  const bool synced = fd >= 0 && ::fdatasync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!synced) return fail(Code::Io, "{}: {}", log, std::strerror(error));
  return {};
}

Db::Place Db::place() const {
  int moved = 0;
  sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved) return Place::Moved;
  if (!log_) return Place::Intact;
  const char* file = sqlite3_db_filename(db_.get(), "main");
  for (const auto& [path, bytes] : {std::pair{file, &file_bytes_}, std::pair{sqlite3_filename_wal(file), &log_bytes_}}) {
    struct stat now {};
    const int64_t size = ::stat(path, &now) == 0 ? now.st_size : -1;
    if (size < *bytes) return Place::CutShort;
    *bytes = size;
  }
  return Place::Intact;
}

Result<void> Db::copy_to(const std::string& path) {
  VERGE_ASSIGN(statement, prepare("VACUUM INTO ?1"));
  statement.bind(1, path);
  VERGE_TRY(statement.step());
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);  // SQLite leaves it to us
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!synced) return fail(Code::Io, "{}: {}", path, std::strerror(error));
  return {};
}

int64_t Db::changes() const { return sqlite3_changes64(db_.get()); }

}  // namespace verge::store
