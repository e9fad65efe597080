#include "cluster/announcer.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <map>

#include "support/clock.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/random.h"
#include "support/spawn.h"

namespace verge::cluster {
namespace {

namespace asio = boost::asio;

// A namesake speaks every 0.8 to 1.2 s, so at least twice in this time. Another boot heard twice in this time is alive; once may be the last word of
// this node's own earlier run, still on its way.
constexpr int kListenMs = 3 * limits::kHeartbeatMs;

class ClusterAnnouncer : public Announcer, public std::enable_shared_from_this<ClusterAnnouncer> {
 public:
  ClusterAnnouncer(asio::any_io_executor executor, Bus& bus, AnnouncerOptions options)
      : executor_(std::move(executor)), bus_(bus), options_(std::move(options)), timer_(executor_), boot_(static_cast<uint64_t>(unix_ms()) * 1000 + random_u64() % 1000) {}

  void start() {
    bus_.subscribe(fmt::format("verge.node.*.{}.hb", options_.name), [weak = weak_from_this()](const Message& message) {
      if (auto self = weak.lock()) self->heard(message);
    });
    spawn(executor_, "heartbeats", [self = shared_from_this()] { return self->speak(); });
  }

  Heartbeat heartbeat() override {
    Heartbeat out;
    out.name = options_.name;
    out.region = options_.region;
    out.latitude = options_.latitude;
    out.longitude = options_.longitude;
    out.address = options_.address;
    out.software = options_.software;
    out.boot = boot_;
    out.sequence = ++sequence_;
    out.draining = draining_;
    options_.fill(out);
    return out;
  }
  bool announced() const override { return announced_; }
  void drain() override {
    draining_ = true;
    say();
  }
  void leave() override {
    stopped_ = true;
    timer_.cancel();
    Heartbeat last = heartbeat();
    last.leaving = true;
    if (announced_) bus_.publish(heartbeat_subject(last), encode_heartbeat(last));
  }

 private:
  void say() {
    if (!announced_ || stopped_) return;
    const Heartbeat now = heartbeat();
    bus_.publish(heartbeat_subject(now), encode_heartbeat(now));
  }

  void heard(const Message& message) {
    auto other = decode_heartbeat(message.payload);
    if (!other || other->name != options_.name || other->boot == boot_ || other->leaving || stopped_) return;
    if (!announced_) {
      const auto [seen, first] = namesakes_.try_emplace(other->boot, other->sequence);
      if (first || other->sequence <= seen->second) return;
      stopped_ = true;
      timer_.cancel();
      options_.name_taken(other->address);
      return;
    }
    if (complained_ == 0 || monotonic_ms() - complained_ > 60'000) {
      complained_ = monotonic_ms();
      log::error("another node speaks under this one's name; gateways follow the one that was started last",
                 {{"name", options_.name}, {"its_address", other->address}, {"address", options_.address}});
    }
  }

  task<void> speak() {
    boost::system::error_code ignored;
    timer_.expires_after(std::chrono::milliseconds(kListenMs));
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    while (!stopped_) {
      announced_ = true;
      say();
      const double wait = limits::kHeartbeatMs * (0.8 + 0.4 * unit_at(boot_, sequence_));
      timer_.expires_after(std::chrono::milliseconds(static_cast<int>(wait)));
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  asio::any_io_executor executor_;
  Bus& bus_;
  AnnouncerOptions options_;
  asio::steady_timer timer_;
  uint64_t boot_;
  uint64_t sequence_ = 0;
  std::map<uint64_t, uint64_t> namesakes_;  // boot -> first sequence heard
  bool announced_ = false, draining_ = false, stopped_ = false;
  int64_t complained_ = 0;
};

}  // namespace

std::shared_ptr<Announcer> Announcer::make(asio::any_io_executor executor, Bus& bus, AnnouncerOptions options) {
  auto announcer = std::make_shared<ClusterAnnouncer>(std::move(executor), bus, std::move(options));
  announcer->start();
  return announcer;
}

}  // namespace verge::cluster
