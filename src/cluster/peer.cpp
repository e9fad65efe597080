#include "cluster/peer.h"

#include "support/clock.h"
#include "support/finally.h"
#include "support/limits.h"
#include "support/spawn.h"

namespace verge::cluster {

namespace asio = boost::asio;
using namespace protocol;

namespace {

http::ClientOptions client_options(size_t idle) {
  http::ClientOptions options;
  options.connect_timeout_ms = limits::kHopConnectMs;
  options.idle_connections = idle;
  return options;
}

// Knows whether a terminal event has passed, and whether the node broke off.
class WatchedSink : public EventSink {
 public:
  explicit WatchedSink(EventSink& next) : next_(next) {}
  protocol::task<bool> put(Event event) override {
    if (over) co_return false;
    over = terminal(event);
    if (const auto* failure = std::get_if<Failure>(&event)) broken = failure->error.code == Code::WorkerGone;
    const bool taken = co_await next_.put(std::move(event));
    co_return taken;
  }
  bool over = false;
  bool broken = false;

 private:
  EventSink& next_;
};

}  // namespace

struct Peer::Run {
  explicit Run(const asio::any_io_executor& executor) : work(executor, "a request to another node") {}
  Interruptible work;
  std::string why;
};

Peer::Peer(asio::any_io_executor executor, std::string name, http::Endpoint endpoint)
    : executor_(executor), name_(std::move(name)), requests_(executor, endpoint, client_options(256)), probes_(executor, std::move(endpoint), client_options(1)) {}

void Peer::cut(const std::string& why) {
  for (Run* run : runs_) {
    run->why = why;
    run->work.interrupt();
  }
  requests_.close_idle();
  probes_.close_idle();
}

protocol::task<void> Peer::run(Request request, EventSink& sink) {
  Run here(executor_);
  const auto place = runs_.insert(runs_.end(), &here);
  if (started) started();
  const Finally gone{[&] {
    runs_.erase(place);
    if (ended) ended();
  }};
  WatchedSink watched(sink);
  auto running = here.work.run([&, request = std::move(request)]() mutable { return requests_.run(std::move(request), watched); });
  co_await std::move(running);
  if (!here.why.empty() && !watched.over) {
    co_await sink.put(Failure{fail(Code::WorkerGone, "node {}: {}", name_, here.why)});
  } else if (watched.broken && lost) {
    lost();
  }
}

protocol::task<verge::Result<Heartbeat>> Peer::probe(double& rtt_ms) {
  const int64_t began = monotonic_us();
  auto status = co_await probes_.status(limits::kProbeTimeoutMs);
  if (!status) co_return status.error();
  rtt_ms = static_cast<double>(monotonic_us() - began) / 1e3;
  co_return decode_heartbeat(json::serialize(*status));
}

}  // namespace verge::cluster
