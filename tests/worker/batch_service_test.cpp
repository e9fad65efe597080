#include "worker/batch_service.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <latch>
#include <mutex>

#include "support/clock.h"

namespace verge::worker {
namespace {
namespace asio = boost::asio;

// Squares numbers; a batch waits for `gate` where one is set.
struct Squares : SingleShot {
  struct Numbers : Work {
    std::vector<int64_t> in, out;
    Result<protocol::Result> answer() override {
      json::array list;
      for (int64_t v : out) list.emplace_back(v);
      return protocol::Result(std::move(list));
    }
  };
  const char* task() const override { return "squares"; }
  json::object ready() const override { return {{"architecture", "numbers"}}; }
  Result<std::unique_ptr<Work>> prepare(const protocol::Request& request) override {
    const json::array* list = get_array(request.params, "numbers");
    if (!list || list->empty()) return fail(Code::InvalidInput, "no numbers");
    auto work = std::make_unique<Numbers>();
    for (const json::value& v : *list) work->in.push_back(v.to_number<int64_t>());
    work->out.resize(work->in.size());
    work->costs.assign(work->in.size(), 1);
    work->prompt_tokens = static_cast<int64_t>(work->in.size());
    return std::unique_ptr<Work>(std::move(work));
  }
  void run(std::span<const BatchItem> batch) override {
    if (std::latch* at = gate.exchange(nullptr)) {
      started = true;
      started.notify_all();
      at->wait();
    }
    {
      std::lock_guard lock(mutex);
      sizes.push_back(batch.size());
    }
    for (const BatchItem& item : batch) {
      auto& numbers = static_cast<Numbers&>(*item.work);
      const auto i = static_cast<size_t>(item.index);
      numbers.out[i] = numbers.in[i] * numbers.in[i];
    }
  }
  std::atomic<std::latch*> gate = nullptr;
  std::atomic<bool> started = false;
  std::mutex mutex;
  std::vector<size_t> sizes;
};

struct Sink : protocol::EventSink {
  protocol::task<bool> put(protocol::Event event) override {
    EXPECT_EQ(terminal, 0);
    if (auto* result = std::get_if<protocol::Result>(&event)) value = result->value;
    if (auto* accepted = std::get_if<protocol::Accepted>(&event)) model = accepted->model;
    if (auto* usage = std::get_if<protocol::Usage>(&event)) tokens = usage->prompt_tokens;
    if (auto* failure = std::get_if<protocol::Failure>(&event)) error = failure->error;
    terminal += protocol::terminal(event);
    co_return true;
  }
  json::value value;
  std::string model;
  int64_t tokens = 0;
  Error error;
  int terminal = 0;
};

protocol::Request request(int from, int count) {
  protocol::Request r;
  r.task = "squares";
  r.tenant = "t";
  json::array numbers;
  for (int i = 0; i < count; ++i) numbers.emplace_back(from + i);
  r.params["numbers"] = std::move(numbers);
  return r;
}

struct BatchServiceTest : ::testing::Test {
  BatchServiceTest() {
    auto task = std::make_unique<Squares>();
    squares = task.get();
    service = std::make_unique<BatchService>(io.get_executor(), std::move(task), BatchOptions{8, 8, 1}, ServiceOptions{"n", "@t/squares", {}});
  }
  asio::io_context io{1};
  Squares* squares = nullptr;
  std::unique_ptr<BatchService> service;
};

TEST_F(BatchServiceTest, AnswersWithResultUsageAndName) {
  Sink sink;
  asio::co_spawn(io, service->run(request(2, 3), sink), asio::detached);
  io.run();
  EXPECT_EQ(json::serialize(sink.value), "[4,9,16]");
  EXPECT_EQ(sink.model, "@t/squares");
  EXPECT_EQ(sink.tokens, 3);
  EXPECT_EQ(sink.terminal, 1);
  EXPECT_EQ(service->active(), 0);
  EXPECT_EQ(service->ready().at("task"), "squares");
}

TEST_F(BatchServiceTest, BadInputAndOtherTasksAreOneFailure) {
  Sink bad, other;
  asio::co_spawn(io, service->run(request(1, 0), bad), asio::detached);
  protocol::Request wrong = request(1, 1);
  wrong.task = "cubes";
  asio::co_spawn(io, service->run(wrong, other), asio::detached);
  io.run();
  EXPECT_EQ(bad.error.code, Code::InvalidInput);
  EXPECT_EQ(bad.terminal, 1);
  EXPECT_EQ(other.error.code, Code::InvalidInput);
}

// While a batch runs, others come, one is cancelled, one's deadline passes; the rest share a batch.
TEST_F(BatchServiceTest, CallersShareBatchesAndLeaveThem) {
  std::latch gate(1);
  squares->gate = &gate;
  Sink first, cancelled, late;
  asio::co_spawn(io, service->run(request(1, 1), first), asio::detached);
  while (!squares->started) io.poll();
  std::vector<Sink> sinks(7);
  for (size_t i = 0; i < sinks.size(); ++i) asio::co_spawn(io, service->run(request(static_cast<int>(i), 1), sinks[i]), asio::detached);
  asio::cancellation_signal cancel;
  asio::co_spawn(io, service->run(request(100, 50), cancelled), asio::bind_cancellation_slot(cancel.slot(), asio::detached));
  protocol::Request dated = request(1, 1);
  dated.deadline_ms = unix_ms() + 1;
  asio::co_spawn(io, service->run(dated, late), asio::detached);
  while (service->status().at("waiting").to_number<int>() < 9) io.poll();  // the dated one may be refused or wait
  cancel.emit(asio::cancellation_type::terminal);
  while (service->active() > 9) io.poll();
  while (unix_ms() <= dated.deadline_ms) io.poll();
  gate.count_down();
  io.run();
  for (size_t i = 0; i < sinks.size(); ++i) EXPECT_EQ(sinks[i].value, (json::array{static_cast<int64_t>(i * i)}));
  EXPECT_EQ(first.terminal, 1);
  EXPECT_EQ(cancelled.terminal, 0);
  EXPECT_EQ(late.error.code, Code::Timeout);
  EXPECT_EQ(squares->sizes, (std::vector<size_t>{1, 7}));
  EXPECT_EQ(service->active(), 0);
}

TEST_F(BatchServiceTest, DrainingRefusesTheNew) {
  service->drain();
  Sink sink;
  asio::co_spawn(io, service->run(request(1, 1), sink), asio::detached);
  io.run();
  EXPECT_EQ(sink.error.code, Code::Busy);
  EXPECT_GT(sink.error.retry_after_ms, 0);
}

}  // namespace
}  // namespace verge::worker
