#include "accounts/ledger.h"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"

namespace verge::accounts {
namespace asio = boost::asio;
namespace {

// Where one coroutine waits. Made, cancelled and destroyed on the io thread.
struct Ticket {
  explicit Ticket(const asio::any_io_executor& executor) : room(executor, asio::steady_timer::time_point::max()) {}
  asio::steady_timer room;  // never elapses; cancelling it wakes the waiter
  bool done = false, ok = false;
};

struct Job {
  std::vector<UsageRow> rows;
  struct Merge {
    std::string gateway;
    UsageMark after, upto;
  };
  std::optional<Merge> merge;      // the rows are another gateway's
  std::shared_ptr<Ticket> ticket;  // null = nobody waits
};

}  // namespace

struct Ledger::Impl {
  Impl(asio::any_io_executor e, std::string f, LedgerOptions o, UsageBook w, UsageBook r, int64_t b)
      : executor(std::move(e)), folder(std::move(f)), options(std::move(o)), writing(std::move(w)), reading(std::move(r)), boot(b) {}

  asio::any_io_executor executor;
  const std::string folder;
  LedgerOptions options;
  std::optional<UsageBook> writing;  // the writer's thread alone; absent where the file could not be opened again
  std::optional<UsageBook> reading;  // under `reading_mutex`
  std::mutex reading_mutex;
  const int64_t boot;
  int64_t seq = 0;

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::vector<Job> queue;
  bool stop = false;
  std::atomic<size_t> unwritten{0};
  std::atomic<bool> failing{false};
  std::optional<int64_t> unsynced_since;  // ms, of the oldest row that a power cut would take; the writer's thread alone
  std::thread thread;

  void push(Job job) {
    if (!job.merge) unwritten += job.rows.size();
    bool first = false;
    {
      std::lock_guard lock(mutex);
      first = queue.empty();
      queue.push_back(std::move(job));
    }
    if (first) wake.notify_one();
  }

  task<bool> wait(std::shared_ptr<Ticket> ticket) {
    while (!ticket->done) {
      boost::system::error_code woken;
      co_await ticket->room.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    co_return ticket->ok;
  }

  // ---- The writer's thread

  void loop() {
    std::vector<UsageRow> own;  // not on disk yet: of this round, and of earlier ones that failed
    std::deque<Job> merges;     // one between two rounds: answers wait for own rows
    std::vector<Job> jobs;
    while (true) {
      {
        std::unique_lock lock(mutex);
        const auto woken = [this] { return stop || !queue.empty(); };
        const int64_t sync_in_ms = unsynced_since ? std::max<int64_t>(0, *unsynced_since + limits::kUsageSyncMs - monotonic_ms()) : limits::kUsageRetryMs;
        if (merges.empty() && own.empty() && !unsynced_since) wake.wait(lock, woken);
        else if (merges.empty()) wake.wait_for(lock, std::chrono::milliseconds(std::min<int64_t>(sync_in_ms, limits::kUsageRetryMs)), woken);
        if (queue.empty() && stop) {
          lock.unlock();
          write_own(own);
          keep_in_place();
          sync();
          return;
        }
        jobs.swap(queue);
      }
      std::vector<std::shared_ptr<Ticket>> waiting;
      for (Job& job : jobs) {
        if (job.merge) {
          merges.push_back(std::move(job));
          continue;
        }
        own.insert(own.end(), std::make_move_iterator(job.rows.begin()), std::make_move_iterator(job.rows.end()));
        if (job.ticket) waiting.push_back(std::move(job.ticket));
      }
      jobs.clear();
      const bool written = write_own(own);
      release(std::exchange(waiting, {}), written);
      if (unsynced_since && monotonic_ms() >= *unsynced_since + limits::kUsageSyncMs) sync();
      if (merges.empty()) continue;
      Job job = std::move(merges.front());
      merges.pop_front();
      waiting.clear();
      waiting.push_back(std::move(job.ticket));
      const bool merged = write_others(job);
      release(std::move(waiting), merged);
    }
  }

  template <class Read>
  auto read(Read with) -> decltype(with(*reading)) {
    std::lock_guard lock(reading_mutex);
    if (!reading) return fail(Code::Io, "the usage database cannot be opened");
    return with(*reading);
  }

  // What is open is the file in the folder, with its log; where somebody took one of them away, it becomes so again.
  void keep_in_place() {
    const auto place = writing ? writing->place() : store::Db::Place::CutShort;
    if (place == store::Db::Place::Intact) return;
    const std::string path = (std::filesystem::path(folder) / "usage.db").string(), fresh = path + ".new";
    std::error_code ec;
    Result<void> copied = fail(Code::LoadFailed, "it could not be opened");
    if (writing) {
      std::filesystem::remove(fresh, ec);
      copied = writing->copy_to(fresh);
      if (!copied && copied.error().code != Code::LoadFailed) {  // a full disk: tried again with the next rows
        if (!failing) log::error("usage.db was removed and cannot be written anew", {{"error", copied.error().message}});
        failing = true;
        return;
      }
    }
    std::lock_guard lock(reading_mutex);
    reading.reset();
    writing.reset();
    if (copied) {
      const bool found = place == store::Db::Place::Moved && std::filesystem::exists(path, ec);
      if (found) std::filesystem::rename(path, path + ".found", ec);
      for (const char* beside : {"-wal", "-shm", "-journal"}) std::filesystem::remove(path + beside, ec);
      std::filesystem::rename(fresh, path, ec);
      log::error("usage.db was taken away while it is in use: it is written anew, nothing is lost", {{"found_in_its_place", found ? path + ".found" : ""}});
    }
    open_again(path);
  }

  // `damaged`: the file at `path` is known to be.
  void open_again(const std::string& path, bool damaged = false) {
    auto book = damaged ? Result<UsageBook>(fail(Code::LoadFailed, "rows cannot be written to it")) : UsageBook::open(folder);
    if (!book && book.error().code == Code::LoadFailed) {
      const std::string aside = fmt::format("{}.damaged-{}", path, unix_ms());
      std::error_code ec;
      std::filesystem::rename(path, aside, ec);
      for (const char* beside : {"-wal", "-shm", "-journal"}) std::filesystem::remove(path + beside, ec);
      log::error("usage.db is damaged: it is kept aside, and counts begin anew", {{"error", book.error().message}, {"aside", aside}});
      book = UsageBook::open(folder);
    }
    auto second = book ? UsageBook::open(folder) : Result<UsageBook>(book.error());
    if (!second) {
      log::error("usage.db cannot be opened; usage is kept in memory", {{"error", second.error().message}});
      return;
    }
    writing = std::move(*book);
    reading = std::move(*second);
  }

  Result<int64_t> write(const std::vector<UsageRow>& own) {
    keep_in_place();
    if (!writing) return fail(Code::Io, "the usage database cannot be opened");
    auto written = writing->write(own);
    // What is in memory of a damaged file may be at fault: it is read again, then given up.
    for (const bool damaged : {false, true}) {
      if (written || written.error().code != Code::LoadFailed) break;
      log::error("usage.db is damaged", {{"error", written.error().message}});
      std::lock_guard lock(reading_mutex);
      reading.reset();
      writing.reset();
      open_again((std::filesystem::path(folder) / "usage.db").string(), damaged);
      if (!writing) return fail(Code::Io, "the usage database cannot be opened");
      written = writing->write(own);
    }
    return written;
  }

  bool write_own(std::vector<UsageRow>& own) {
    if (own.empty()) return true;
    if (auto written = write(own); !written) {
      if (!failing) log::error("usage cannot be written; it is kept in memory and tried again", {{"rows", own.size()}, {"error", written.error().message}});
      failing = true;
      if (own.size() > limits::kUsageUnwritten) {
        const size_t lost = own.size() - limits::kUsageUnwritten;
        log::error("usage is lost", {{"rows", lost}});
        own.erase(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(lost));
        unwritten -= lost;
      }
      return false;
    }
    if (failing) log::info("usage is written again", {{"rows", own.size()}});
    failing = false;
    unwritten -= own.size();
    own.clear();
    if (!unsynced_since) unsynced_since = monotonic_ms();
    return true;
  }

  void sync() {
    if (auto synced = writing ? writing->sync() : Result<void>(); !synced) log::error("usage cannot be brought to the disk", {{"error", synced.error().message}});
    unsynced_since.reset();
  }

  bool write_others(const Job& job) {
    keep_in_place();
    if (!writing) return false;
    auto merged = writing->merge(job.merge->gateway, job.merge->after, job.merge->upto, job.rows);
    if (merged && !unsynced_since) unsynced_since = monotonic_ms();
    if (!merged) log::error("usage of another gateway cannot be written", {{"gateway", job.merge->gateway}, {"error", merged.error().message}});
    return merged && *merged;
  }

  void release(std::vector<std::shared_ptr<Ticket>> tickets, bool ok) {
    if (tickets.empty()) return;
    asio::post(executor, [tickets = std::move(tickets), ok] {
      for (const auto& ticket : tickets) {
        ticket->done = true;
        ticket->ok = ok;
        ticket->room.cancel();
      }
    });
  }
};

Ledger::Ledger(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->thread = std::thread([state = impl_.get()] {
    pthread_setname_np(pthread_self(), "ledger");
    state->loop();
  });
}

Ledger::~Ledger() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

Result<std::unique_ptr<Ledger>> Ledger::open(asio::any_io_executor executor, const std::string& data_folder, LedgerOptions options) {
  VERGE_ASSIGN(writing, UsageBook::open(data_folder));
  VERGE_ASSIGN(reading, UsageBook::open(data_folder));
  if (options.shared) VERGE_TRY(writing.share_as(options.gateway));
  VERGE_ASSIGN(boot, writing.next_boot(options.gateway, unix_ms()));
  VERGE_TRY(writing.forget_before(unix_ms() - limits::kUsageDays * 86'400'000));
  return std::unique_ptr<Ledger>(new Ledger(std::make_shared<Impl>(std::move(executor), data_folder, std::move(options), std::move(writing), std::move(reading), boot)));
}

void Ledger::add(UsageRow row) {
  row.gateway = impl_->options.gateway;
  row.boot = impl_->boot;
  row.seq = ++impl_->seq;
  Job job;
  job.rows.push_back(std::move(row));
  impl_->push(std::move(job));
}

task<void> Ledger::commit(UsageRow row) {
  row.gateway = impl_->options.gateway;
  row.boot = impl_->boot;
  row.seq = ++impl_->seq;
  auto ticket = std::make_shared<Ticket>(impl_->executor);
  Job job;
  job.rows.push_back(std::move(row));
  job.ticket = ticket;
  impl_->push(std::move(job));
  co_await impl_->wait(std::move(ticket));
}

task<bool> Ledger::merge(std::string gateway, UsageMark after, UsageMark upto, std::vector<UsageRow> rows) {
  auto ticket = std::make_shared<Ticket>(impl_->executor);
  Job job;
  job.rows = std::move(rows);
  job.merge = Job::Merge{std::move(gateway), after, upto};
  job.ticket = ticket;
  impl_->push(std::move(job));
  auto waiting = impl_->wait(std::move(ticket));
  co_return co_await std::move(waiting);
}

Result<std::vector<UsageLine>> Ledger::report(const UsageQuery& query) { return impl_->read([&](UsageBook& book) { return book.report(query); }); }
Result<int64_t> Ledger::neurons_of(const std::string& account, int64_t day) {
  return impl_->read([&](UsageBook& book) { return book.neurons_of(account, day); });
}
Result<int64_t> Ledger::own_neurons_of(const std::string& account, int64_t day) {
  return impl_->read([&](UsageBook& book) { return book.neurons_of(account, day, impl_->options.gateway); });
}
Result<std::vector<UsageRow>> Ledger::own_rows_after(UsageMark after, int limit) {
  return impl_->read([&](UsageBook& book) { return book.rows_after(impl_->options.gateway, after, limit); });
}
Result<UsageMark> Ledger::own_last() {
  return impl_->read([&](UsageBook& book) { return book.last_of(impl_->options.gateway); });
}
Result<std::map<std::string, UsageMark>> Ledger::marks() {
  return impl_->read([&](UsageBook& book) { return book.marks(); });
}
size_t Ledger::unwritten() const { return impl_->unwritten; }
bool Ledger::failing() const { return impl_->failing; }

}  // namespace verge::accounts
