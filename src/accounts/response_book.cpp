#include "accounts/response_book.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace verge::accounts {
namespace {

constexpr const char* kMigrations[] = {
    "CREATE TABLE responses ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " account TEXT NOT NULL, id TEXT NOT NULL, created_ms INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " input TEXT NOT NULL, response TEXT NOT NULL, UNIQUE (account, id)) STRICT;"
    "CREATE INDEX responses_age ON responses (created_ms);"
    "CREATE INDEX responses_account ON responses (account, seq, bytes);"
    "CREATE TABLE response_items ("
    " account TEXT NOT NULL, id TEXT NOT NULL,"
    " response INTEGER NOT NULL REFERENCES responses (seq) ON DELETE CASCADE,"
    " PRIMARY KEY (account, id, response)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX response_items_response ON response_items (response)",
};

constexpr int64_t kDayMs = 86'400'000;
constexpr const char* kColumns = "account, id, created_ms, input, response";

int64_t bytes_of(const KeptResponse& response) {
  size_t bytes = response.account.size() + response.id.size() + response.input.size() +
                 response.response.size();
  for (const std::string& id : response.item_ids) bytes += response.account.size() + id.size();
  return static_cast<int64_t>(bytes);
}

}  // namespace

Result<ResponseBook> ResponseBook::open(const std::string& folder, ResponseBounds bounds,
                                        int64_t now_ms) {
  const std::string path = (std::filesystem::path(folder) / "responses.db").string();
  VERGE_ASSIGN(db, store::Db::open(path, kMigrations, store::Db::Sharing::Alone));
  ResponseBook book(std::move(db), bounds);
  VERGE_TRY(book.remove_old(now_ms));
  VERGE_TRY(book.read_shares());
  return book;
}

Result<void> ResponseBook::read_shares() {
  shares_.clear();
  bytes_ = 0;
  VERGE_ASSIGN(statement,
               db_.prepare("SELECT account, COUNT(*), SUM(bytes) FROM responses GROUP BY account"));
  while (true) {
    VERGE_ASSIGN(row, statement.step());
    if (!row) return {};
    const Share share{statement.number(1), statement.number(2)};
    shares_[statement.text(0)] = share;
    bytes_ += share.bytes;
  }
}

Result<void> ResponseBook::remove_old(int64_t now_ms) {
  VERGE_ASSIGN(statement, db_.prepare("DELETE FROM responses WHERE created_ms < ?1"));
  statement.bind(1, now_ms - bounds_.days * kDayMs);
  VERGE_TRY(statement.step());
  return db_.changes() > 0 ? read_shares() : Result<void>();
}

Result<void> ResponseBook::insert(const KeptResponse& response, int64_t bytes) {
  VERGE_ASSIGN(statement,
               db_.prepare("INSERT INTO responses (account, id, created_ms, bytes, input, "
                           "response) VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING seq"));
  statement.bind(1, response.account).bind(2, response.id).bind(3, response.created_ms);
  statement.bind(4, bytes).bind(5, response.input).bind(6, response.response);
  VERGE_TRY(statement.step());
  const int64_t seq = statement.number(0);
  VERGE_TRY(statement.step());
  VERGE_ASSIGN(
      item,
      db_.prepare(
          "INSERT OR IGNORE INTO response_items (account, id, response) VALUES (?1, ?2, ?3)"));
  for (const std::string& id : response.item_ids) {
    item.bind(1, response.account).bind(2, id).bind(3, seq);
    VERGE_TRY(item.step());
  }
  Share& share = shares_[response.account];
  ++share.count;
  share.bytes += bytes;
  bytes_ += bytes;
  return make_room(response.account);
}

Result<void> ResponseBook::make_room(const std::string& account) {
  while (shares_[account].count > bounds_.kept || shares_[account].bytes > bounds_.bytes)
    VERGE_TRY(remove_oldest(account));
  while (bytes_ > bounds_.all_bytes) {
    const auto most =
        std::ranges::max_element(shares_, {}, [](const auto& one) { return one.second.bytes; });
    VERGE_TRY(remove_oldest(std::string(most->first)));
  }
  return {};
}

Result<void> ResponseBook::remove_oldest(const std::string& account) {
  VERGE_ASSIGN(statement, db_.prepare("DELETE FROM responses WHERE seq = (SELECT MIN(seq) FROM "
                                      "responses WHERE account = ?1) RETURNING bytes"));
  statement.bind(1, account);
  VERGE_ASSIGN(row, statement.step());
  if (!row) return fail(Code::Internal, "responses.db: account {} has no row to remove", account);
  Share& share = shares_[account];
  const int64_t bytes = statement.number(0);
  VERGE_TRY(statement.step());
  share.bytes -= bytes;
  bytes_ -= bytes;
  if (--share.count == 0) shares_.erase(account);
  return {};
}

Result<void> ResponseBook::save(const KeptResponse& response, int64_t now_ms) {
  const int64_t bytes = bytes_of(response);
  if (bytes >
      std::min({bounds_.bytes, bounds_.all_bytes, static_cast<int64_t>(limits::kResponseBytes)}))
    return fail(Code::TooLarge,
                "the response is too large to be kept ({} bytes): send 'store': false", bytes);
  VERGE_TRY(db_.execute("BEGIN IMMEDIATE"));
  auto done = remove_old(now_ms);
  if (done) done = insert(response, bytes);
  if (done) done = db_.execute("COMMIT");
  if (done) return {};
  (void)db_.execute("ROLLBACK");
  (void)read_shares();
  return done.error();
}

Result<std::optional<KeptResponse>> ResponseBook::first(store::Statement statement,
                                                        int64_t now_ms) {
  VERGE_ASSIGN(row, statement.step());
  if (!row || statement.number(2) < now_ms - bounds_.days * kDayMs)
    return std::optional<KeptResponse>();
  KeptResponse out;
  out.account = statement.text(0);
  out.id = statement.text(1);
  out.created_ms = statement.number(2);
  out.input = statement.text(3);
  out.response = statement.text(4);
  return std::optional<KeptResponse>(std::move(out));
}

Result<std::optional<KeptResponse>> ResponseBook::find(const std::string& account,
                                                       const std::string& id, int64_t now_ms) {
  VERGE_ASSIGN(statement,
               db_.prepare(fmt::format("SELECT {} FROM responses WHERE account = ?1 AND id = ?2",
                                       kColumns)));
  statement.bind(1, account).bind(2, id);
  return first(std::move(statement), now_ms);
}

Result<std::optional<KeptResponse>> ResponseBook::find_item(const std::string& account,
                                                            const std::string& item_id,
                                                            int64_t now_ms) {
  VERGE_ASSIGN(statement,
               db_.prepare(fmt::format(
                   "SELECT {} FROM responses WHERE seq ="
                   " (SELECT MAX(response) FROM response_items WHERE account = ?1 AND id = ?2)",
                   kColumns)));
  statement.bind(1, account).bind(2, item_id);
  return first(std::move(statement), now_ms);
}

Result<bool> ResponseBook::remove(const std::string& account, const std::string& id) {
  VERGE_ASSIGN(statement, db_.prepare("DELETE FROM responses WHERE account = ?1 AND id = ?2"));
  statement.bind(1, account).bind(2, id);
  VERGE_TRY(statement.step());
  if (db_.changes() == 0) return false;
  VERGE_TRY(read_shares());
  return true;
}

}  // namespace verge::accounts
