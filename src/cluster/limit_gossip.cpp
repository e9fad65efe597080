#include "cluster/limit_gossip.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "accounts/accounts.h"
#include "cluster/heartbeat.h"
#include "support/clock.h"
#include "support/json.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::cluster {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kSubject = "verge.limits.";
constexpr size_t kMessageBytes = 256 << 10, kMostAccounts = 1'000, kMostRates = 64, kTextBytes = 128;
constexpr size_t kMessagesAtOnce = 16;  // of one telling: more accounts take turns
constexpr int64_t kMostOfACount = 1'000'000'000;
constexpr int64_t kComplaintMs = 60'000;

class BusGossip : public LimitGossip, public std::enable_shared_from_this<BusGossip> {
 public:
  BusGossip(asio::any_io_executor executor, Bus& bus, accounts::SharedCounts& counts, LimitGossipOptions options)
      : bus_(bus), counts_(counts), options_(std::move(options)), timer_(executor), boot_(unix_ms()) {}

  void start(asio::any_io_executor executor) {
    bus_.subscribe(std::string(kSubject) + "*", [weak = weak_from_this()](const Message& message) {
      if (auto self = weak.lock(); self && !self->stopped_) self->received(message);
    });
    spawn(executor, "telling limits", [self = shared_from_this()] { return self->ticks(); });
  }

  void stop() override {
    if (stopped_) return;
    stopped_ = true;
    timer_.cancel();
    LimitMessage last{boot_, true, options_.own()};
    for (const std::string& text : encode(last)) bus_.publish(std::string(kSubject) + options_.name, text);
  }

 private:
  task<void> ticks() {
    while (!stopped_) {
      timer_.expires_after(std::chrono::milliseconds(accounts::kTellMs));
      boost::system::error_code ignored;
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      if (!stopped_) tick();
    }
  }

  void tick() {
    const int64_t now = monotonic_ms();
    counts_.connected(bus_.connected(), now);
    if (counts_.settled(now) && counts_.gateways(now) != gateways_) options_.gateways(gateways_ = counts_.gateways(now));
    if (!bus_.connected()) return;
    const std::vector<std::string> messages = encode({boot_, false, options_.own()});
    const size_t count = std::min(messages.size(), kMessagesAtOnce);
    for (size_t i = 0; i < count; ++i) bus_.publish(std::string(kSubject) + options_.name, messages[(turn_ + i) % messages.size()]);
    turn_ = messages.size() > kMessagesAtOnce ? turn_ + count : 0;
  }

  void received(const Message& message) {
    const std::string from(std::string_view(message.subject).substr(kSubject.size()));
    if (from == options_.name || !valid_name(from)) return;
    auto said = decode_limits(message.payload);
    if (said) {
      counts_.heard(from, said->boot, said->told, monotonic_ms());
      if (said->leaving) counts_.left(from, monotonic_ms());
    } else if (monotonic_ms() - complained_ms_ >= kComplaintMs) {
      complained_ms_ = monotonic_ms();
      log::warn("a message of the cluster was left out", {{"why", said.error().message}, {"subject", message.subject}});
    }
  }

  Bus& bus_;
  accounts::SharedCounts& counts_;
  LimitGossipOptions options_;
  asio::steady_timer timer_;
  const int64_t boot_;
  int64_t gateways_ = 0, complained_ms_ = -kComplaintMs;
  size_t turn_ = 0;
  bool stopped_ = false;
};

Result<int64_t> count_of(const json::value& value) {
  if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > kMostOfACount) return fail(Code::InvalidInput, "a count out of range");
  return value.get_int64();
}

}  // namespace

std::vector<std::string> encode(const LimitMessage& message) {
  std::vector<std::string> out;
  json::object counts;
  const auto close = [&] {
    json::object one{{"v", kVersion}, {"boot", message.boot}, {"counts", std::exchange(counts, {})}};
    if (message.leaving) one["leaving"] = true;
    out.push_back(json::serialize(one));
  };
  for (const auto& [account, told] : message.told) {
    json::object rates;
    for (const auto& [rate, count] : told.in_minute)
      if (rates.size() < kMostRates && rate.size() <= kTextBytes) rates[rate] = count;
    // Names of before tokens may be anything; two of them must not become one.
    counts[accounts::valid_account_for(account)] = json::object{{"under_way", told.under_way}, {"in_minute", std::move(rates)}};
    if (counts.size() >= kMostAccounts) close();
  }
  if (!counts.empty() || out.empty()) close();
  return out;
}

Result<LimitMessage> decode_limits(std::string_view text) {
  if (text.size() > kMessageBytes) return fail(Code::InvalidInput, "{} bytes; the limit is {}", text.size(), kMessageBytes);
  VERGE_ASSIGN(value, parse_json(text, 8));
  const json::object* object = value.if_object();
  const json::object* counts = object ? get_object(*object, "counts") : nullptr;
  if (!counts || get_int(*object, "v").value_or(0) != kVersion || counts->size() > kMostAccounts) return fail(Code::InvalidInput, "no counts of version {}", kVersion);
  LimitMessage out;
  out.boot = get_int(*object, "boot").value_or(0);
  out.leaving = get_bool(*object, "leaving").value_or(false);
  for (const auto& [account, one] : *counts) {
    const json::object* told = one.if_object();
    const json::object* rates = told ? get_object(*told, "in_minute") : nullptr;
    const json::value* under_way = told ? told->if_contains("under_way") : nullptr;
    if (!rates || !under_way || rates->size() > kMostRates || !accounts::valid_account(account)) return fail(Code::InvalidInput, "no counts of an account");
    accounts::SharedCounts::Counts& entry = out.told[std::string(account)];
    VERGE_ASSIGN(running, count_of(*under_way));
    entry.under_way = running;
    for (const auto& [rate, number] : *rates) {
      if (rate.size() > kTextBytes) return fail(Code::InvalidInput, "a name too long");
      VERGE_ASSIGN(count, count_of(number));
      entry.in_minute[std::string(rate)] = count;
    }
  }
  return out;
}

std::shared_ptr<LimitGossip> LimitGossip::make(asio::any_io_executor executor, Bus& bus, accounts::SharedCounts& counts, LimitGossipOptions options) {
  auto gossip = std::make_shared<BusGossip>(executor, bus, counts, std::move(options));
  gossip->start(executor);
  return gossip;
}

}  // namespace verge::cluster
