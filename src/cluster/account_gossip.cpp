#include "cluster/account_gossip.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <set>
#include <unordered_map>

#include "cluster/account_messages.h"
#include "support/clock.h"
#include "support/log.h"
#include "support/random.h"
#include "support/spawn.h"

namespace verge::cluster {
namespace {

namespace asio = boost::asio;

// In ticks.
constexpr int64_t kDigestsEvery = 4;
constexpr int64_t kListenFor = 3;      // before what nobody has said counts as not so
constexpr int64_t kRecentFor = 3;      // what somebody told so lately need not be told again
constexpr int64_t kEnsureEvery = 120;
constexpr int64_t kLongAgo = -1'000'000;

constexpr size_t kBytesAtOnce = 1 << 20;     // of records, told in one tick
constexpr size_t kMostRecords = 200'000;
constexpr size_t kMostGateways = 1'000;
constexpr int64_t kComplaintMs = 60'000;

// Beside the quotas, whose keys have a dot.
constexpr const char* kBucket = "verge_quota";
constexpr const char* kClosedKey = "tokens-required";

class BusGossip : public AccountGossip, public std::enable_shared_from_this<BusGossip> {
 public:
  BusGossip(asio::any_io_executor executor, Bus& bus, accounts::Accounts& accounts, AccountGossipOptions options)
      : executor_(std::move(executor)), bus_(bus), accounts_(accounts), options_(std::move(options)), timer_(executor_), jitter_(random_u64()) {
    wanted_.fill(false);
    told_at_.fill(kLongAgo);
    if (!options_.metrics) return;
    merged_ = options_.metrics->counter("verge_cluster_account_records_merged_total", "Tokens and limits that were made or changed at other gateways.");
    unheard_ = options_.metrics->gauge("verge_cluster_accounts_unheard", "1 while this gateway does not know yet whether its cluster wants tokens.");
  }

  void start() {
    look(false);
    bus_.subscribe(account_subject("*"), [weak = weak_from_this()](const Message& message) {
      if (auto self = weak.lock()) self->received(message);
    });
    spawn(executor_, "telling accounts", [self = shared_from_this()] { return self->ticks(); });
  }

  void tell_uses(const std::map<std::string, int64_t>& used_ms) override {
    for (const std::string& text : encode(TokenUses{used_ms})) say(text);
  }

  void stop() override {
    if (stopped_) return;
    look(true);
    stopped_ = true;
    timer_.cancel();
  }

 private:
  task<void> ticks();
  void tick();
  void look(bool tell);
  void tell_part(size_t part);
  void ask_whether_closed();
  task<void> ask();
  void received(const Message& message);
  void heard(const std::string& from, const AccountDigests& digests);
  void heard(const AccountRecords& records);
  void say(const std::string& text) { bus_.publish(account_subject(options_.name), text); }
  void complain(std::string_view what, const std::string& why);

  asio::any_io_executor executor_;
  Bus& bus_;
  accounts::Accounts& accounts_;
  AccountGossipOptions options_;
  asio::steady_timer timer_;
  const uint64_t jitter_;

  // What is held, as of a generation.
  std::pair<int64_t, int64_t> generation_{-1, -1};
  accounts::Records records_;
  std::unordered_map<std::string, uint64_t> digest_of_;  // by a record's key
  accounts::Digests parts_{};

  std::array<bool, accounts::kBuckets> wanted_;       // somebody holds something else
  std::array<int64_t, accounts::kBuckets> told_at_;   // the same was told by somebody, in ticks
  std::set<std::string> known_;
  int64_t tick_ = 0, digests_at_ = kLongAgo, connected_at_ = kLongAgo, ensured_at_ = kLongAgo;
  bool connected_ = false, stopped_ = false, asking_ = false, greet_ = false;
  int64_t complained_ms_ = -kComplaintMs;
  metrics::Counter merged_;
  metrics::Gauge unheard_;
};

// ---- Speaking

task<void> BusGossip::ticks() {
  while (!stopped_) {
    // Gateways that start together do not speak together for ever.
    const double wait = options_.tick_ms * (0.8 + 0.4 * unit_at(jitter_, static_cast<uint64_t>(tick_)));
    timer_.expires_after(std::chrono::microseconds(static_cast<int64_t>(wait * 1000)));
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (!stopped_) tick();
  }
}

void BusGossip::tick() {
  ++tick_;
  if (options_.metrics) unheard_.set(accounts_.unheard() ? 1 : 0);
  const bool back = bus_.connected() && !connected_;
  connected_ = bus_.connected();
  look(connected_);
  if (!connected_) return;
  if (back) {
    connected_at_ = tick_;
    ensured_at_ = kLongAgo;
  }
  ask_whether_closed();
  if (back || greet_ || tick_ - digests_at_ >= kDigestsEvery) {
    say(encode(AccountDigests{parts_, accounts_.closed()}));
    digests_at_ = tick_;
    greet_ = false;
  }
  size_t bytes = 0;
  for (size_t part = 0; part < accounts::kBuckets && bytes < kBytesAtOnce; ++part) {
    if (!std::exchange(wanted_[part], false) || tick_ - told_at_[part] < kRecentFor) continue;
    tell_part(part);
    bytes += (records_.size() / accounts::kBuckets + 1) * 256;
  }
}

// Reads what is held where it has changed, and tells the news. While the bus is away they are found by their digests later.
void BusGossip::look(bool tell) {
  auto now = accounts_.generation();
  if (!now) return complain("accounts.db cannot be read", now.error().message);
  if (*now == generation_) return;
  auto read = accounts_.records();
  if (!read) return complain("accounts.db cannot be read", read.error().message);
  generation_ = *now;
  records_ = std::move(*read);
  parts_ = accounts::digests_of(records_);
  AccountRecords news;
  std::unordered_map<std::string, uint64_t> digests;
  const auto note = [&](std::string key, const auto& record, auto& list) {
    const uint64_t digest = accounts::digest_of(record);
    const auto before = digest_of_.find(key);
    if (before == digest_of_.end() || before->second != digest) list.push_back(record);
    digests.emplace(std::move(key), digest);
  };
  for (const auto& record : records_.tokens) note("t" + record.id, record, news.records.tokens);
  for (const auto& record : records_.settings) note("s" + record.account + "." + record.field, record, news.records.settings);
  digest_of_ = std::move(digests);
  if (!tell || news.records.empty()) return;
  for (const std::string& text : encode(news)) say(text);
}

void BusGossip::tell_part(size_t part) {
  AccountRecords out;
  out.part = part;
  out.digest = parts_[part];
  for (const auto& record : records_.tokens)
    if (accounts::bucket_of(record) == part) out.records.tokens.push_back(record);
  for (const auto& record : records_.settings)
    if (accounts::bucket_of(record) == part) out.records.settings.push_back(record);
  if (out.records.empty()) return;
  for (const std::string& text : encode(out)) say(text);
  told_at_[part] = tick_;
}

// ---- Whether the cluster wants tokens (K2)

void BusGossip::ask_whether_closed() {
  if (asking_) return;
  const bool closed = accounts_.closed();
  if (closed ? tick_ - ensured_at_ < kEnsureEvery : !accounts_.unheard()) return;
  asking_ = true;
  spawn(executor_, "asking for the cluster's tokens", [self = shared_from_this()] { return self->ask(); },
        [self = shared_from_this()](std::exception_ptr) { self->asking_ = false; });
}

task<void> BusGossip::ask() {
  const std::string bucket = kBucket, key = kClosedKey, yes = "1";
  auto getting = bus_.get(bucket, key);
  auto value = co_await std::move(getting);
  if (stopped_) co_return;
  if (!value) {
    if (accounts_.unheard()) complain("the cluster's record of whether tokens are needed cannot be read; this gateway lets nobody in before", value.error().message);
    co_return;
  }
  Result<void> noted;
  if (*value) {
    noted = accounts_.heard(true);
    ensured_at_ = tick_;
  } else if (accounts_.closed()) {
    auto putting = bus_.put_if(bucket, key, yes, 0);
    auto put = co_await std::move(putting);
    if (stopped_ || !put) co_return;
    ensured_at_ = tick_;
    noted = accounts_.heard(true);
  } else if (tick_ - connected_at_ >= kListenFor) {
    noted = accounts_.heard(false);
  }
  if (!noted) complain("what the cluster says of tokens cannot be written", noted.error().message);
}

// ---- Listening

void BusGossip::complain(std::string_view what, const std::string& why) {
  if (monotonic_ms() - complained_ms_ < kComplaintMs) return;
  complained_ms_ = monotonic_ms();
  log::warn(what, {{"why", why}});
}

void BusGossip::received(const Message& message) {
  if (stopped_) return;
  const auto from = parse_account_subject(message.subject);
  if (!from || *from == options_.name) return;
  auto said = decode_accounts(message.payload, *from);
  if (!said) return complain("a message of the cluster was left out", said.error().message);
  if (auto* digests = std::get_if<AccountDigests>(&*said)) return heard(*from, *digests);
  if (auto* records = std::get_if<AccountRecords>(&*said)) return heard(*records);
  auto merged = accounts_.merge_uses(std::get<TokenUses>(*said).used_ms);
  if (!merged) complain("the last use of tokens cannot be written", merged.error().message);
}

void BusGossip::heard(const std::string& from, const AccountDigests& digests) {
  if (known_.size() < kMostGateways && known_.insert(from).second) greet_ = true;
  if (digests.closed) {
    auto noted = accounts_.heard(true);
    if (!noted) complain("what the cluster says of tokens cannot be written", noted.error().message);
  }
  look(true);
  for (size_t part = 0; part < accounts::kBuckets; ++part)
    if (digests.parts[part] != parts_[part]) wanted_[part] = true;
}

void BusGossip::heard(const AccountRecords& heard) {
  look(true);
  if (records_.size() + heard.records.size() > kMostRecords) return complain("tokens and limits of other gateways were left out", fmt::format("more than {}", kMostRecords));
  accounts::Records news;
  const auto is_new = [&](const std::string& key, const auto& record) {
    const auto held = digest_of_.find(key);
    return held == digest_of_.end() || held->second != accounts::digest_of(record);
  };
  for (const auto& record : heard.records.tokens)
    if (is_new("t" + record.id, record)) news.tokens.push_back(record);
  for (const auto& record : heard.records.settings)
    if (is_new("s" + record.account + "." + record.field, record)) news.settings.push_back(record);
  if (!news.empty()) {
    auto merged = accounts_.merge(news);
    if (!merged) return complain("tokens and limits of another gateway cannot be written", merged.error().message);
    if (options_.metrics) merged_.add(static_cast<double>(*merged));
    look(false);
  }
  // The sender holds what is held here: others that lack it heard it too.
  if (heard.part && heard.digest == parts_[*heard.part]) told_at_[*heard.part] = tick_;
}

}  // namespace

std::shared_ptr<AccountGossip> AccountGossip::make(asio::any_io_executor executor, Bus& bus, accounts::Accounts& accounts, AccountGossipOptions options) {
  auto gossip = std::make_shared<BusGossip>(std::move(executor), bus, accounts, std::move(options));
  gossip->start();
  return gossip;
}

}  // namespace verge::cluster
