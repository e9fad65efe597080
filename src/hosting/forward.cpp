// A request on its way to a Worker's process and back.
#include <boost/asio/use_awaitable.hpp>

#include <stdexcept>
#include <utility>

#include "hosting/hosting_impl.h"
#include "hosting/worker_request.h"
#include "support/clock.h"
#include "support/finally.h"
#include "support/log.h"

namespace verge::hosting {
namespace {

// A request waits for so long while its Worker starts for the first time.
constexpr int64_t kFirstStartMs = 15'000;

http::task<void> answer(http::Responder& out, int status, const std::string& message) {
  http::Headers headers{{"content-type", "text/plain; charset=utf-8"}};
  if (status == 502 || status == 503) headers.push_back({"retry-after", "1"});
  std::string body = message + "\n";
  co_await out.respond(status, std::move(headers), std::move(body));
}

// The line of the access log and the metrics of one request.
struct Record {
  Counters& counters;
  const HostedWorker& worker;
  const http::Incoming& in;
  int64_t started_us = monotonic_us();
  int status = 0;  // 0 = the client left before an answer
  Record(Counters& c, const HostedWorker& w, const http::Incoming& r)
      : counters(c), worker(w), in(r) {
    counters.in_flight.add(1, {worker.name});
  }
  ~Record() {
    const double seconds = static_cast<double>(monotonic_us() - started_us) / 1e6;
    counters.in_flight.add(-1, {worker.name});
    counters.requests.add(1, {worker.name, status ? std::to_string(status) : "client_gone"});
    counters.duration.observe(seconds, {worker.name});
    log::info("worker request", {{"worker", worker.name},
                                 {"method", in.method},
                                 {"host", in.header("host")},
                                 {"path", in.path},
                                 {"status", status},
                                 {"ms", seconds * 1e3},
                                 {"remote", in.remote}});
  }
};

http::task<void> refuse(Record& record, http::Responder& out, int status, std::string message) {
  record.status = status;
  return answer(out, status, std::move(message));
}

}  // namespace

http::task<void> Hosting::Impl::forward(HostedWorker& worker, http::Incoming& in, http::Responder& out) {
  Record record(counters, worker, in);
  if (is_runtime_path(in.path)) {
    co_await refuse(record, out, 404, "Nothing is served below /cdn-cgi/.");
    co_return;
  }
  if (in.body_too_large) {
    co_await refuse(record, out, 413,
                    "The body is larger than " + std::to_string(in.body_limit >> 20) + " MiB.");
    co_return;
  }
  // The first start takes seconds, as does a change from one copy to the next; who comes
  // meanwhile waits.
  const auto comes = [&] {
    return worker.changing || (worker.current && !worker.current->ended &&
                               !worker.current->client && worker.restarts == 0);
  };
  const auto settled = [&] { return (worker.serves() && !worker.changing) || !comes(); };
  if (!settled()) {
    std::function<bool()> done = settled;
    co_await until(std::move(done), kFirstStartMs);
  }
  Process process = worker.current;
  auto client = process ? process->client : nullptr;
  if (!client || worker.changing) {
    const bool faulty = !worker.reason.empty();
    co_await refuse(
        record, out, 503,
        "The Worker " + worker.name +
            (faulty ? " could not be started." : " is not running; it is started again.") +
            " See the server's log.");
    co_return;
  }
  ++process->in_flight;
  const Finally leave{[process] { --process->in_flight; }};
  if (!names_plain_host(in)) {
    co_await refuse(record, out, 400, "The request names no host.");
    co_return;
  }
  http::ClientRequest request = request_for_worker(in);
  auto response = co_await client->send(std::move(request));
  if (!response) {
    const bool late = response.error().code == Code::Timeout;
    log::error("worker gave no answer",
               {{"worker", worker.name}, {"error", response.error().message}});
    const std::string what = late ? " gave no answer in time." : " ended during the request.";
    co_await refuse(record, out, late ? 504 : 502, "The Worker " + worker.name + what);
    co_return;
  }
  record.status = (*response)->status;
  const bool started = co_await out.start((*response)->status, end_to_end((*response)->headers));
  while (started) {
    auto piece = co_await (*response)->read();
    // Broken in the middle: the client must see a broken answer, not a short one.
    if (!piece)
      throw std::runtime_error("the Worker " + worker.name +
                               " broke off its answer: " + piece.error().message);
    if (piece->empty()) {
      co_await out.finish();
      break;
    }
    const bool written = co_await out.write(*piece);
    if (!written) { break; }
  }
}

}  // namespace verge::hosting
