#include "accounts/meter.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

#include "accounts/neurons.h"
#include "accounts/rate.h"
#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::accounts {
namespace asio = boost::asio;
namespace {

constexpr int kNewsMs = 50, kNewsRounds = 60;  // how often what the others have is looked at again, and for how long

}  // namespace

// One account on this gateway.
struct AccountState {
  AccountState(asio::any_io_executor executor, std::string id) : account(std::move(id)), room(std::move(executor), asio::steady_timer::time_point::max()) {}

  const std::string account;
  Quota quota;
  std::map<std::string, RateWindow, std::less<>> rates;  // by task, or by model where the model has a limit of its own
  int64_t under_way = 0;
  // Of what is shared with other gateways.
  Allowance places;
  std::map<std::string, Allowance, std::less<>> allowances;  // as rates
  int64_t waiting = 0;      // for news of the others
  bool leasing = false;     // one exchange with the lease store at a time; others wait in the room
  asio::steady_timer room;  // never elapses; cancelling it wakes all in it
  // As last seen: a lease then takes one round trip.
  std::optional<LeaseRecord> record;
  int64_t record_day = 0;

  bool idle(int64_t now_ms) const {
    return under_way == 0 && waiting == 0 && !leasing && (quota.day() != day_of(now_ms) || quota.granted() == 0) &&
           std::ranges::all_of(rates, [&](const auto& rate) { return rate.second.idle(now_ms); });
  }
};

struct Meter::Limits {
  int64_t daily = Settings::kUnlimited;  // micro-neurons
  int64_t concurrency = Settings::kUnlimited;
  int64_t per_minute = Settings::kUnlimited;
  std::string rate_name;  // task, or model id
};

Charge::Charge(Charge&& other) noexcept
    : meter_(std::exchange(other.meter_, nullptr)),
      state_(std::move(other.state_)),
      reservation_(other.reservation_),
      claim_(std::move(other.claim_)),
      time_ms_(other.time_ms_),
      entered_ms_(other.entered_ms_) {}

Charge& Charge::operator=(Charge&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  meter_ = std::exchange(other.meter_, nullptr);
  state_ = std::move(other.state_);
  reservation_ = other.reservation_;
  claim_ = std::move(other.claim_);
  time_ms_ = other.time_ms_;
  entered_ms_ = other.entered_ms_;
  return *this;
}

Charge::~Charge() { give_back(); }

void Charge::give_back() {
  Meter* meter = std::exchange(meter_, nullptr);
  if (!meter) return;
  state_->quota.give_back(reservation_, unix_ms());
  meter->leave(*state_, entered_ms_);
  state_.reset();
}

Meter::Meter(asio::any_io_executor executor, Accounts& accounts, const catalogue::Catalogue& catalogue, LeaseStore& leases, Ledger* ledger,
             metrics::Registry& metrics, MeterOptions options)
    : executor_(std::move(executor)),
      accounts_(accounts),
      catalogue_(catalogue),
      leases_(leases),
      ledger_(ledger),
      options_(options),
      requests_(metrics.counter("verge_account_requests_total", "Requests that a model answered or failed, by account.", {"account", "outcome"})),
      neurons_(metrics.counter("verge_account_neurons_total", "Neurons charged, by account.", {"account"})),
      refusals_(metrics.counter("verge_account_refusals_total", "Requests refused for their account's limits.", {"account", "reason"})),
      unwritten_(metrics.gauge("verge_usage_unwritten_rows", "Rows of the usage ledger that are not on disk yet.")) {}

Meter::~Meter() = default;

int64_t Meter::neurons(const catalogue::Entry& entry, const protocol::Usage& usage) const { return accounts::neurons(catalogue_.prices(entry), usage); }

Result<std::shared_ptr<AccountState>> Meter::state_of(const std::string& account, bool limited) {
  auto found = states_.find(account);
  if (found != states_.end()) return found->second;
  if (states_.size() >= limits::kAccountsTracked) {
    std::erase_if(states_, [now = unix_ms()](const auto& state) { return state.second->idle(now); });
    if (states_.size() >= limits::kAccountsTracked) {
      Error full = fail(Code::Busy, "this server has too many accounts at work");
      full.retry_after_ms = 60'000;
      return full;
    }
  }
  auto state = std::make_shared<AccountState>(executor_, account);
  if (limited && ledger_) {
    const int64_t day = day_of(unix_ms());
    // What other gateways spent is theirs to answer for: their rows in this book are no spending of this one's.
    VERGE_ASSIGN(spent, ledger_->own_neurons_of(account, day));
    state->quota = Quota(day, spent);
  }
  states_.emplace(account, state);
  return state;
}

Result<Meter::Limits> Meter::limits_of(const Claim& claim) {
  VERGE_ASSIGN(settings, accounts_.settings(claim.account));
  Limits limits;
  const catalogue::Entry& entry = *claim.entry;
  if (options_.published_limits) {
    limits.daily = kFreeNeurons * kMicro;
    if (const int published = catalogue_.requests_per_minute(entry)) limits.per_minute = published;
    if (entry.requests_per_minute) limits.rate_name = entry.id;
  }
  if (settings->daily_neurons) limits.daily = *settings->daily_neurons;
  if (settings->concurrency) limits.concurrency = *settings->concurrency;
  if (auto own = settings->rates.find(entry.task); own != settings->rates.end()) {
    limits.per_minute = own->second;
    limits.rate_name.clear();
  }
  if (limits.rate_name.empty()) limits.rate_name = entry.task;
  return limits;
}

Error Meter::refusal(std::string_view account, std::string_view reason, Error error) {
  refusals_.add(1, {std::string(account), std::string(reason)});
  return error;
}

task<Result<void>> Meter::enter(std::shared_ptr<AccountState> state, Limits limits) {
  using Verdict = Allowance::Verdict;
  const bool shared = options_.elsewhere && (limits.concurrency >= 0 || limits.per_minute >= 0);
  if (shared) told_[state->account] = state;
  const std::string name = shared ? valid_account_for(state->account) : std::string();  // as others tell it
  asio::steady_timer timer(executor_);
  struct Waits {
    int64_t& count;
    explicit Waits(int64_t& c) : count(++c) {}
    ~Waits() { --count; }
  };
  std::optional<Waits> waits;
  for (int round = 0;; ++round) {
    const int64_t now = monotonic_ms();
    Elsewhere places, rates;
    if (shared && limits.concurrency >= 0) places = options_.elsewhere->under_way(name, limits.concurrency, now);
    if (shared && limits.per_minute >= 0) rates = options_.elsewhere->in_minute(name, limits.rate_name, limits.per_minute, now);
    Verdict place = Verdict::Granted, rate = Verdict::Granted;
    int64_t left = INT64_MAX;
    if (limits.concurrency >= 0) {
      place = state->places.ask(state->under_way, places, limits.concurrency, now);
      left = limits.concurrency - state->under_way - places.count;
    }
    if (place == Verdict::Refused) {
      Error error = fail(Code::RateLimited, "Too many requests at once: account {} may have {} under way", state->account, limits.concurrency);
      error.retry_after_ms = 1000;
      co_return refusal(state->account, "concurrency", std::move(error));
    }
    if (limits.per_minute >= 0) {
      RateWindow& window = state->rates[limits.rate_name];
      const int64_t own = window.total(unix_ms());
      rate = state->allowances[limits.rate_name].ask(own, rates, limits.per_minute, now);
      left = std::min(left, limits.per_minute - own - rates.count);
      if (rate == Verdict::Refused) {
        // What others had leaves too, within a minute.
        const int64_t wait_ms = window.take(static_cast<int>(std::max<int64_t>(limits.per_minute - rates.count, 0)), unix_ms());
        Error error = fail(Code::RateLimited, "Rate limit reached for {}: {} requests per minute", limits.rate_name, limits.per_minute);
        error.retry_after_ms = std::max<int64_t>(wait_ms, 1);
        co_return refusal(state->account, "rate", std::move(error));
      }
    }
    if (place == Verdict::Granted && rate == Verdict::Granted) {
      if (limits.per_minute >= 0) {
        state->rates[limits.rate_name].take(static_cast<int>(limits.per_minute), unix_ms());
        state->allowances[limits.rate_name].taken(now);
      }
      state->places.taken(now);
      ++state->under_way;
      co_return Result<void>();
    }
    // No more wait than there is left for.
    if (round >= kNewsRounds || (!waits && state->waiting >= left)) {
      Error error = fail(Code::RateLimited, "Rate limit reached for {} at this gateway for the moment; try again", limits.rate_name);
      error.retry_after_ms = 1000;
      co_return refusal(state->account, "shared", std::move(error));
    }
    if (!waits) waits.emplace(state->waiting);
    timer.expires_after(std::chrono::milliseconds(kNewsMs));
    boost::system::error_code woken;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

void Meter::leave(AccountState& state, int64_t entered_ms) {
  --state.under_way;
  state.places.given_back(entered_ms, monotonic_ms());
}

SharedCounts::Told Meter::counts() {
  SharedCounts::Told out;
  const int64_t now = unix_ms();
  for (auto it = told_.begin(); it != told_.end();) {
    AccountState& state = *it->second;
    SharedCounts::Counts& counts = out[it->first];
    counts.under_way = state.under_way;
    for (auto& [name, window] : state.rates)
      if (const int64_t total = window.total(now)) counts.in_minute[name] = total;
    // Said once more where nothing is left, then no longer.
    const bool over = counts == SharedCounts::Counts() && state.waiting == 0;
    it = over ? told_.erase(it) : std::next(it);
  }
  return out;
}

task<Result<Charge>> Meter::admit(Claim claim) {
  auto limits = limits_of(claim);
  if (!limits) co_return limits.error();
  auto found = state_of(claim.account, limits->daily >= 0);
  if (!found) co_return found.error();
  const std::shared_ptr<AccountState> state = *found;

  auto entering = enter(state, *limits);
  auto entered = co_await std::move(entering);
  if (!entered) co_return entered.error();

  Charge charge;
  charge.meter_ = this;
  charge.state_ = state;
  charge.entered_ms_ = monotonic_ms();
  charge.time_ms_ = unix_ms();
  charge.reservation_.day = day_of(charge.time_ms_);
  const int64_t estimate = limits->daily >= 0 ? neurons(*claim.entry, claim.estimate) : 0;
  const int64_t cut_off = limits->daily / 100 * options_.cut_off_percent;
  charge.claim_ = std::move(claim);
  // Without a limit nothing is reserved, and the state only counts what is under way.
  for (int round = 0; limits->daily >= 0; ++round) {
    charge.time_ms_ = unix_ms();
    const Quota::Answer answer = state->quota.reserve(estimate, limits->daily, cut_off, charge.time_ms_);
    if (answer.verdict == Quota::Verdict::Granted) {
      charge.reservation_ = answer.reservation;
      if (state->quota.wants_ahead(limits->daily, charge.time_ms_)) lease(state, state->quota.lease_size(limits->daily, charge.time_ms_), limits->daily);
      break;
    }
    if (answer.verdict == Quota::Verdict::NeedsLease && round < limits::kLeaseTries) {
      lease(state, answer.wanted, limits->daily);
      while (state->leasing) {
        boost::system::error_code woken;
        co_await state->room.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      }
      continue;
    }
    charge.reservation_ = {};
    Error error;
    if (answer.verdict == Quota::Verdict::Spent) {
      error.code = Code::QuotaUsed;
      error.message = "the daily allocation is used up";
      error.limit = limits->daily;
      error.retry_after_ms = ms_to_midnight(charge.time_ms_);
      co_return refusal(state->account, "neurons", std::move(error));
    }
    error = fail(Code::RateLimited, "What is left of the daily allocation is held by requests under way; try again");
    error.retry_after_ms = 1000;
    co_return refusal(state->account, "neurons_held", std::move(error));
  }
  co_return std::move(charge);
}

// Of its own, and not in the coroutine of the request that wants it: that one's client may leave in the middle.
void Meter::lease(std::shared_ptr<AccountState> state, int64_t wanted, int64_t limit) {
  if (std::exchange(state->leasing, true)) return;
  spawn(executor_, "a lease", [this, state, wanted, limit] { return take_lease(state, wanted, limit); }, [state](std::exception_ptr failed) {
    if (failed) state->quota.unreachable(state->quota.day(), unix_ms());
    state->leasing = false;
    state->room.cancel();
  });
}

task<void> Meter::take_lease(std::shared_ptr<AccountState> state, int64_t wanted, int64_t limit) {
  const int64_t day = state->quota.day(), owed = state->quota.owed();
  LeaseKey key;
  key.account = valid_account_for(state->account);
  key.day = day;
  for (int i = 0; i < limits::kLeaseTries; ++i) {
    if (!state->record || state->record_day != day) {
      auto asking = leases_.get(key);
      auto read = co_await std::move(asking);
      if (!read) {
        log::warn("the lease store cannot be reached", {{"account", key.account}, {"error", read.error().message}});
        break;
      }
      state->record = *read;
      state->record_day = day;
    }
    const LeasePlan plan = plan_lease(state->record->leased, limit, wanted, owed);
    if (plan.next == state->record->leased) {
      // What was seen may be old, but the number only grows: nothing is left.
      state->quota.leased(day, 0, 0, limit);
      co_return;
    }
    auto changing = leases_.compare_and_set(key, state->record->revision, plan.next);
    auto changed = co_await std::move(changing);
    if (changed && *changed) {
      state->record = LeaseRecord{**changed, plan.next};
      state->quota.leased(day, plan.take, owed, limit);
      co_return;
    }
    state->record.reset();
    if (!changed) {
      log::warn("the lease store cannot be reached", {{"account", key.account}, {"error", changed.error().message}});
      break;
    }
  }
  state->quota.unreachable(day, unix_ms());
}

UsageRow Meter::settle(Charge& charge, const protocol::Usage& usage, std::string node, std::string answered_by, std::string outcome, bool charged) {
  UsageRow row;
  row.id = charge.claim_.id;
  row.time_ms = charge.time_ms_;
  row.account = charge.claim_.account;
  row.model = charge.claim_.model.empty() ? charge.claim_.entry->id : charge.claim_.model;
  row.task = charge.claim_.entry->task;
  row.node = std::move(node);
  row.answered_by = std::move(answered_by);
  row.outcome = std::move(outcome);
  if (charged) {
    row.usage = usage;
    row.neurons = neurons(*charge.claim_.entry, usage);
  }
  charge.meter_ = nullptr;
  charge.state_->quota.settle(charge.reservation_, row.neurons, unix_ms());
  leave(*charge.state_, charge.entered_ms_);
  charge.state_.reset();
  requests_.add(1, {row.account, charged ? row.outcome : "failed"});
  neurons_.add(static_cast<double>(row.neurons) / static_cast<double>(kMicro), {row.account});
  if (ledger_) unwritten_.set(static_cast<double>(ledger_->unwritten()));
  return row;
}

task<void> Meter::book(Charge& charge, protocol::Usage usage, std::string node, std::string answered_by) {
  UsageRow row = settle(charge, usage, std::move(node), std::move(answered_by), "ok", true);
  if (!ledger_) { co_return; }
  auto committing = ledger_->commit(std::move(row));
  co_await std::move(committing);
}

void Meter::book_aborted(Charge& charge, protocol::Usage usage, std::string node, std::string answered_by) {
  UsageRow row = settle(charge, usage, std::move(node), std::move(answered_by), "aborted", true);
  if (ledger_) ledger_->add(std::move(row));
}

void Meter::book_failure(Charge& charge, Code code, std::string node, std::string answered_by) {
  UsageRow row = settle(charge, {}, std::move(node), std::move(answered_by), to_string(code), false);
  if (ledger_) ledger_->add(std::move(row));
}

Result<Allocation> Meter::allocation(const std::string& account) {
  VERGE_ASSIGN(settings, accounts_.settings(account));
  const int64_t now = unix_ms();
  Allocation out;
  out.limit = settings->daily_neurons ? *settings->daily_neurons : options_.published_limits ? kFreeNeurons * kMicro : Settings::kUnlimited;
  out.resets_ms = now + ms_to_midnight(now);
  if (ledger_) {
    VERGE_ASSIGN(used, ledger_->neurons_of(account, day_of(now)));
    out.used = used;
  }
  return out;
}

}  // namespace verge::accounts
