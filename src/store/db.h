// SQLite, opened the one way Verge uses it: synchronous=FULL (what is committed survives a power
// cut; sync_later() leaves that to sync()), foreign keys on, a busy time-out for the few moments when another process writes.
// One Db is used by one thread. No file is mapped, so that none that is cut short ends the process (SIGBUS).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "support/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace verge::store {

// A prepared statement. Parameters are numbered from 1, columns from 0.
class Statement {
 public:
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, int64_t number);
  // Runs to the next row: true = a row is there, false = the end (the statement is then ready to run again).
  Result<bool> step();
  std::string text(int column) const;
  int64_t number(int column) const;
  bool is_null(int column) const;
  void reset();

 private:
  friend class Db;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Db {
 public:
  // Many: any process may open it meanwhile; a rollback journal, for what is seldom written.
  // Alone: this process's connections only, others find it Busy; WAL, whose index is in this process's memory.
  enum class Sharing { Many, Alone };
  // Opens or creates `path` (mode 0600; its folder 0700 where it is new) and brings it to the newest schema:
  // migrations[i] leads from version i to i+1, each in its own transaction. Errors, here and below: Io (a full disk too); Busy where another
  // process has it; LoadFailed where the file is damaged, no database, or made by a newer program.
  static Result<Db> open(const std::string& path, std::span<const char* const> migrations, Sharing sharing = Sharing::Many);

  Result<Statement> prepare(std::string_view sql);
  Result<void> execute(const std::string& sql);
  // From now on a commit survives the end of the process, and a power cut only after sync().
  Result<void> sync_later();
  Result<void> sync();
  // Moved: the file was removed or replaced. CutShort: it or its log became shorter, or the log was removed. What is written then
  // may go with the process.
  enum class Place { Intact, Moved, CutShort };
  Place place() const;
  // A whole new file at `path`, on the disk, of all that is committed.
  Result<void> copy_to(const std::string& path);
  int64_t changes() const;  // rows changed by the last statement

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;
  bool log_ = false;                  // WAL
  // When they were last looked at, -1 = not there yet: neither becomes shorter by itself.
  mutable int64_t file_bytes_ = -1, log_bytes_ = -1;
};

}  // namespace verge::store
