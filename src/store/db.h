// SQLite, opened the one way Verge uses it: WAL, synchronous=FULL (what is committed survives a power
// cut; sync_later() leaves that to sync()), foreign keys on, a busy time-out for the few moments when another process writes.
// One Db is used by one thread.
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
  // Opens or creates `path` (mode 0600; its folder 0700 where it is new) and brings it to the newest schema:
  // migrations[i] leads from version i to i+1, each in its own transaction. Io; LoadFailed where the
  // file is no database or was made by a newer program.
  static Result<Db> open(const std::string& path, std::span<const char* const> migrations);

  Result<Statement> prepare(std::string_view sql);
  Result<void> execute(const std::string& sql);
  // From now on a commit survives the end of the process, and a power cut only after sync().
  Result<void> sync_later();
  Result<void> sync();
  int64_t changes() const;  // rows changed by the last statement

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace verge::store
