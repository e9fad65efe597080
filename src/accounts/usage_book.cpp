#include "accounts/usage_book.h"

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

namespace verge::accounts {
namespace {

constexpr const char* kMigrations[] = {
    "CREATE TABLE usage ("
    " gateway TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " id TEXT NOT NULL, time_ms INTEGER NOT NULL,"
    " account TEXT NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL, node TEXT NOT NULL, outcome TEXT NOT NULL,"
    " neurons INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,"
    " audio_ms INTEGER NOT NULL, images INTEGER NOT NULL, tiles INTEGER NOT NULL, steps INTEGER NOT NULL, characters INTEGER NOT NULL,"
    " sent INTEGER NOT NULL,"
    " PRIMARY KEY (gateway, boot, seq)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX usage_unsent ON usage (boot, seq) WHERE sent = 0;"
    "CREATE TABLE usage_sums ("
    " account TEXT NOT NULL, day INTEGER NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL,"
    " requests INTEGER NOT NULL, failed INTEGER NOT NULL, neurons INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,"
    " audio_ms INTEGER NOT NULL, images INTEGER NOT NULL, tiles INTEGER NOT NULL, steps INTEGER NOT NULL, characters INTEGER NOT NULL,"
    " PRIMARY KEY (account, day, model, task)) STRICT, WITHOUT ROWID",
    // Rows of other gateways come: sums by gateway, and how far each one's rows are here.
    // All rows until now are this server's, whatever it was called.
    "UPDATE OR IGNORE usage SET gateway = (SELECT MAX(gateway) FROM usage) WHERE gateway <> (SELECT MAX(gateway) FROM usage);"
    "DROP INDEX usage_unsent;"
    "ALTER TABLE usage DROP COLUMN sent;"
    "CREATE TABLE usage_marks (gateway TEXT PRIMARY KEY, boot INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "ALTER TABLE usage_sums RENAME TO sums_before;"
    "CREATE TABLE usage_sums ("
    " account TEXT NOT NULL, day INTEGER NOT NULL, gateway TEXT NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL,"
    " requests INTEGER NOT NULL, failed INTEGER NOT NULL, neurons INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,"
    " audio_ms INTEGER NOT NULL, images INTEGER NOT NULL, tiles INTEGER NOT NULL, steps INTEGER NOT NULL, characters INTEGER NOT NULL,"
    " PRIMARY KEY (account, day, gateway, model, task)) STRICT, WITHOUT ROWID;"
    "INSERT INTO usage_sums SELECT account, day, COALESCE((SELECT MAX(gateway) FROM usage), 'local'), model, task, requests, failed, neurons,"
    " prompt_tokens, completion_tokens, cached_tokens, audio_ms, images, tiles, steps, characters FROM sums_before;"
    "DROP TABLE sums_before",
    // Stand-ins are told apart. Who answered the rows until now is not known.
    "ALTER TABLE usage ADD COLUMN answered_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE usage_sums RENAME TO sums_before;"
    "CREATE TABLE usage_sums ("
    " account TEXT NOT NULL, day INTEGER NOT NULL, gateway TEXT NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL, answered_by TEXT NOT NULL,"
    " requests INTEGER NOT NULL, failed INTEGER NOT NULL, neurons INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,"
    " audio_ms INTEGER NOT NULL, images INTEGER NOT NULL, tiles INTEGER NOT NULL, steps INTEGER NOT NULL, characters INTEGER NOT NULL,"
    " PRIMARY KEY (account, day, gateway, model, task, answered_by)) STRICT, WITHOUT ROWID;"
    "INSERT INTO usage_sums SELECT account, day, gateway, model, task, '', requests, failed, neurons,"
    " prompt_tokens, completion_tokens, cached_tokens, audio_ms, images, tiles, steps, characters FROM sums_before;"
    "DROP TABLE sums_before",
};

constexpr int64_t kDay = 86'400'000;
constexpr int kSnapshots = 20;  // tries; the file changes about once in a thousand answers
// What two lines of usage_sums make together.
constexpr const char* kAddSums =
    " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, failed = failed + excluded.failed, neurons = neurons + excluded.neurons,"
    " prompt_tokens = prompt_tokens + excluded.prompt_tokens, completion_tokens = completion_tokens + excluded.completion_tokens,"
    " cached_tokens = cached_tokens + excluded.cached_tokens, audio_ms = audio_ms + excluded.audio_ms, images = images + excluded.images,"
    " tiles = tiles + excluded.tiles, steps = steps + excluded.steps, characters = characters + excluded.characters";
constexpr const char* kUnits = "prompt_tokens, completion_tokens, cached_tokens, audio_ms, images, tiles, steps, characters";

// Binds the units from `first` on, in the order of kUnits.
void bind_units(store::Statement& statement, int first, const protocol::Usage& u) {
  for (int64_t value : {u.prompt_tokens, u.completion_tokens, u.cached_tokens, u.audio_ms, u.images, u.tiles, u.steps, u.characters}) statement.bind(first++, value);
}
protocol::Usage read_units(const store::Statement& row, int first) {
  protocol::Usage u;
  for (int64_t* value : {&u.prompt_tokens, &u.completion_tokens, &u.cached_tokens, &u.audio_ms, &u.images, &u.tiles, &u.steps, &u.characters})
    *value = row.number(first++);
  return u;
}

}  // namespace

std::string date_of(int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::optional<int64_t> parse_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto number = [&](size_t at, size_t length) {
    int value = 0;
    for (char c : text.substr(at, length)) {
      if (c < '0' || c > '9') return -1;
      value = value * 10 + (c - '0');
    }
    return value;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  if (year < 1970 || month < 0 || day < 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)), std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

Result<UsageBook> UsageBook::open(const std::string& data_folder) {
  VERGE_ASSIGN(db, store::Db::open((std::filesystem::path(data_folder) / "usage.db").string(), kMigrations, store::Db::Sharing::Alone));
  VERGE_TRY(db.sync_later());
  UsageBook book(std::move(db));
  VERGE_ASSIGN(insert, book.db_.prepare(fmt::format("INSERT INTO usage (gateway, boot, seq, id, time_ms, account, model, task, node, outcome, neurons, {}, answered_by)"
                                                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
                                                    " ON CONFLICT DO NOTHING",
                                                    kUnits)));
  VERGE_ASSIGN(sum, book.db_.prepare(fmt::format("INSERT INTO usage_sums (account, day, gateway, model, task, requests, failed, neurons, {}, answered_by)"
                                                 " VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16){}",
                                                 kUnits, kAddSums)));
  VERGE_ASSIGN(begin, book.db_.prepare("BEGIN IMMEDIATE"));
  VERGE_ASSIGN(commit, book.db_.prepare("COMMIT"));
  book.begin_ = std::move(begin);
  book.commit_ = std::move(commit);
  book.insert_ = std::move(insert);
  book.sum_ = std::move(sum);
  return book;
}

void UsageBook::Remove::operator()(const std::string* folder) const {
  std::error_code ignored;
  std::filesystem::remove_all(*folder, ignored);
  delete folder;
}

// The log is only appended to while the database file stays as it is: copied between two looks at an unchanged one, both are of
// one moment, but for a commit at the log's end that is not whole and is left out.
Result<UsageBook> UsageBook::snapshot(const std::string& data_folder) {
  namespace fs = std::filesystem;
  const fs::path from = fs::path(data_folder) / "usage.db", log = from.string() + "-wal";
  std::error_code ec;
  std::string pattern = (fs::temp_directory_path(ec) / "verge-usage-XXXXXX").string();
  if (ec || !mkdtemp(pattern.data())) return fail(Code::Io, "{}: no folder can be made for a copy", pattern);
  std::unique_ptr<const std::string, Remove> copy(new std::string(pattern));
  const fs::path to = fs::path(pattern) / "usage.db";
  const auto state = [&] { return std::pair(fs::last_write_time(from, ec), fs::file_size(from, ec)); };
  for (int i = 0; i < kSnapshots; ++i) {
    const auto before = state();
    fs::copy_file(from, to, fs::copy_options::overwrite_existing, ec);
    if (ec) return fail(Code::Io, "{}: {}", from.string(), ec.message());
    fs::remove(to.string() + "-wal", ec);
    fs::copy_file(log, to.string() + "-wal", ec);  // there is none where no server runs
    if (state() != before) continue;
    VERGE_ASSIGN(book, open(pattern));
    book.copy_ = std::move(copy);
    return book;
  }
  return fail(Code::Busy, "{} changes too fast to be read: ask the server that writes it (--server)", from.string());
}

template <class Work>
auto UsageBook::in_transaction(Work work) -> decltype(work()) {
  VERGE_TRY(begin_->step());
  auto done = work();
  if (done) {
    auto committed = commit_->step();
    if (committed) return done;
    done = committed.error();
  }
  (void)db_.execute("ROLLBACK");
  return done;
}

Result<int64_t> UsageBook::write_all(std::span<const UsageRow> rows) {
  int64_t added = 0;
  for (const UsageRow& row : rows) {
    insert_->bind(1, row.gateway).bind(2, row.boot).bind(3, row.seq).bind(4, row.id).bind(5, row.time_ms).bind(6, row.account).bind(7, row.model);
    insert_->bind(8, row.task).bind(9, row.node).bind(10, row.outcome).bind(11, row.neurons);
    bind_units(*insert_, 12, row.usage);
    insert_->bind(20, row.answered_by);
    VERGE_TRY(insert_->step());
    if (db_.changes() == 0) continue;
    ++added;
    const bool failed = row.outcome != "ok" && row.outcome != "aborted";
    sum_->bind(1, row.account).bind(2, row.time_ms / kDay).bind(3, row.gateway).bind(4, row.model).bind(5, row.task).bind(6, int64_t{failed}).bind(7, row.neurons);
    bind_units(*sum_, 8, row.usage);
    sum_->bind(16, row.answered_by);
    VERGE_TRY(sum_->step());
  }
  return added;
}

Result<int64_t> UsageBook::write(std::span<const UsageRow> rows) {
  return in_transaction([&] { return write_all(rows); });
}

Result<void> UsageBook::sync() { return db_.sync(); }

Result<bool> UsageBook::merge(const std::string& gateway, UsageMark after, UsageMark upto, std::span<const UsageRow> rows) {
  return in_transaction([&] { return merge_all(gateway, after, upto, rows); });
}

Result<bool> UsageBook::merge_all(const std::string& gateway, UsageMark after, UsageMark upto, std::span<const UsageRow> rows) {
  VERGE_ASSIGN(find, db_.prepare("SELECT boot, seq FROM usage_marks WHERE gateway = ?1"));
  find.bind(1, gateway);
  VERGE_ASSIGN(known, find.step());
  UsageMark mark;
  if (known) mark = {find.number(0), find.number(1)};
  find.reset();
  if (after > mark) return false;
  if (upto <= mark) return true;
  const auto first = std::find_if(rows.begin(), rows.end(), [&](const UsageRow& row) { return mark_of(row) > mark; });
  VERGE_TRY(write_all(rows.subspan(static_cast<size_t>(first - rows.begin()))));
  VERGE_ASSIGN(set, db_.prepare("INSERT INTO usage_marks (gateway, boot, seq) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET boot = excluded.boot, seq = excluded.seq"));
  set.bind(1, gateway).bind(2, upto.boot).bind(3, upto.seq);
  VERGE_TRY(set.step());
  return true;
}

Result<std::map<std::string, UsageMark>> UsageBook::marks() {
  VERGE_ASSIGN(rows, db_.prepare("SELECT gateway, boot, seq FROM usage_marks"));
  std::map<std::string, UsageMark> out;
  while (true) {
    VERGE_ASSIGN(more, rows.step());
    if (!more) return out;
    out[rows.text(0)] = {rows.number(1), rows.number(2)};
  }
}

Result<std::vector<UsageRow>> UsageBook::rows_after(const std::string& gateway, UsageMark after, int limit) {
  VERGE_ASSIGN(rows, db_.prepare(fmt::format("SELECT gateway, boot, seq, id, time_ms, account, model, task, node, outcome, neurons, {}, answered_by FROM usage"
                                             " WHERE gateway = ?1 AND (boot, seq) > (?2, ?3) ORDER BY boot, seq LIMIT {}",
                                             kUnits, limit)));
  rows.bind(1, gateway).bind(2, after.boot).bind(3, after.seq);
  std::vector<UsageRow> out;
  while (true) {
    VERGE_ASSIGN(more, rows.step());
    if (!more) return out;
    UsageRow& row = out.emplace_back();
    row.gateway = rows.text(0);
    row.boot = rows.number(1);
    row.seq = rows.number(2);
    row.id = rows.text(3);
    row.time_ms = rows.number(4);
    row.account = rows.text(5);
    row.model = rows.text(6);
    row.task = rows.text(7);
    row.node = rows.text(8);
    row.outcome = rows.text(9);
    row.neurons = rows.number(10);
    row.usage = read_units(rows, 11);
    row.answered_by = rows.text(19);
  }
}

Result<UsageMark> UsageBook::last_of(const std::string& gateway) {
  VERGE_ASSIGN(last, db_.prepare("SELECT boot, seq FROM usage WHERE gateway = ?1 ORDER BY boot DESC, seq DESC LIMIT 1"));
  last.bind(1, gateway);
  VERGE_ASSIGN(row, last.step());
  UsageMark mark;
  if (row) mark = {last.number(0), last.number(1)};
  return mark;
}

Result<void> UsageBook::share_as(const std::string& gateway) {
  return in_transaction([&]() -> Result<void> {
    // A name with a mark was in the cluster: another gateway's, or this one's under which its rows went out already.
    VERGE_ASSIGN(others, db_.prepare("SELECT DISTINCT gateway FROM usage_sums WHERE gateway <> ?1 AND gateway NOT IN (SELECT gateway FROM usage_marks)"));
    others.bind(1, gateway);
    std::vector<std::string> names;
    while (true) {
      VERGE_ASSIGN(more, others.step());
      if (!more) break;
      names.push_back(others.text(0));
    }
    for (const std::string& name : names) {
      for (const std::string& sql : {
               std::string("UPDATE OR IGNORE usage SET gateway = ?1 WHERE gateway = ?2"),
               fmt::format("INSERT INTO usage_sums SELECT account, day, ?1, model, task, answered_by, requests, failed, neurons, {} FROM usage_sums WHERE gateway = ?2{}", kUnits, kAddSums),
               std::string("DELETE FROM usage_sums WHERE gateway = ?2"),
           }) {
        VERGE_ASSIGN(move, db_.prepare(sql));
        move.bind(1, gateway).bind(2, name);
        VERGE_TRY(move.step());
      }
    }
    VERGE_ASSIGN(mark, db_.prepare("INSERT INTO usage_marks (gateway, boot, seq) VALUES (?1, 0, 0) ON CONFLICT DO NOTHING"));
    mark.bind(1, gateway);
    VERGE_TRY(mark.step());
    return {};
  });
}

Result<std::vector<UsageLine>> UsageBook::report(const UsageQuery& query) {
  std::string groups, columns;
  for (const auto& [wanted, name] : {std::pair{query.by_account, "account"}, {query.by_day, "day"}, {query.by_gateway, "gateway"}, {query.by_model, "model"}, {query.by_task, "task"},
                                     {query.by_answered, "answered_by"}}) {
    columns += wanted ? fmt::format("{}, ", name) : std::string_view(name) == "day" ? "0, " : "'', ";
    if (wanted) groups += (groups.empty() ? "" : ", ") + std::string(name);
  }
  std::string sql = "SELECT " + columns;
  for (const char* name : {"requests", "failed", "neurons", "prompt_tokens", "completion_tokens", "cached_tokens", "audio_ms", "images", "tiles", "steps"})
    sql += fmt::format("SUM({}), ", name);
  sql += "SUM(characters), SUM(CASE WHEN answered_by IN ('', model) THEN 0 ELSE requests END) FROM usage_sums WHERE day BETWEEN ?1 AND ?2";
  if (query.account) sql += " AND account = ?3";
  if (!groups.empty()) sql += fmt::format(" GROUP BY {} ORDER BY {}", groups, groups);
  VERGE_ASSIGN(rows, db_.prepare(sql));
  rows.bind(1, query.from_day).bind(2, query.to_day);
  if (query.account) rows.bind(3, *query.account);
  std::vector<UsageLine> out;
  while (true) {
    VERGE_ASSIGN(more, rows.step());
    if (!more) return out;
    if (rows.is_null(6)) continue;  // the one line of no groups, with nothing in it
    UsageLine& line = out.emplace_back();
    line.account = rows.text(0);
    line.day = rows.number(1);
    line.gateway = rows.text(2);
    line.model = rows.text(3);
    line.task = rows.text(4);
    line.answered_by = rows.text(5);
    line.requests = rows.number(6);
    line.failed = rows.number(7);
    line.neurons = rows.number(8);
    line.usage = read_units(rows, 9);
    line.substituted = rows.number(17);
  }
}

Result<int64_t> UsageBook::neurons_of(const std::string& account, int64_t day, const std::optional<std::string>& gateway) {
  VERGE_ASSIGN(sum, db_.prepare(std::string("SELECT COALESCE(SUM(neurons), 0) FROM usage_sums WHERE account = ?1 AND day = ?2") + (gateway ? " AND gateway = ?3" : "")));
  sum.bind(1, account).bind(2, day);
  if (gateway) sum.bind(3, *gateway);
  VERGE_ASSIGN(row, sum.step());
  return row ? sum.number(0) : 0;
}

Result<int64_t> UsageBook::next_boot(const std::string& gateway, int64_t now_ms) {
  VERGE_ASSIGN(last, db_.prepare("SELECT COALESCE(MAX(boot), 0) FROM usage WHERE gateway = ?1"));
  last.bind(1, gateway);
  VERGE_ASSIGN(row, last.step());
  return std::max(now_ms, row ? last.number(0) + 1 : 1);
}

Result<void> UsageBook::forget_before(int64_t time_ms) {
  // By gateway and boot first, as the key begins: a boot's rows are no older than it.
  VERGE_ASSIGN(remove, db_.prepare("DELETE FROM usage WHERE gateway IN (SELECT DISTINCT gateway FROM usage_sums) AND boot < ?1 AND time_ms < ?1"));
  remove.bind(1, time_ms);
  VERGE_TRY(remove.step());
  return {};
}

}  // namespace verge::accounts
