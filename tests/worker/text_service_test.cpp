#include "worker/text_service.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "support/clock.h"
#include "support/random.h"
#include "tests/worker/fake_model.h"

namespace verge::worker {
namespace {
namespace asio = boost::asio;

struct Sink : protocol::EventSink {
  protocol::task<bool> put(protocol::Event event) override {
    EXPECT_EQ(terminal, 0);
    ++events;
    if (const auto* token = std::get_if<protocol::Token>(&event)) text += token->text;
    if (const auto* accepted = std::get_if<protocol::Accepted>(&event)) model = accepted->model;
    if (const auto* result = std::get_if<protocol::Result>(&event)) value = result->value;
    if (const auto* usage = std::get_if<protocol::Usage>(&event)) read = usage->prompt_tokens;
    if (const auto* failure = std::get_if<protocol::Failure>(&event)) error = failure->error;
    terminal += protocol::terminal(event);
    co_return events < leave_after;
  }
  std::string text, model;
  Error error;
  json::value value;
  int64_t read = 0;  // tokens of the prompt
  int events = 0, terminal = 0, leave_after = INT32_MAX;
};

protocol::Request request(uint64_t seed, int max_tokens = 50, const std::string& prompt = "tell me") {
  protocol::Request r;
  r.id = "r" + std::to_string(seed);
  r.task = "text-generation";
  r.seed = seed;
  r.tenant = "t" + std::to_string(seed % 3);
  r.params = {{"prompt", prompt}, {"max_tokens", max_tokens}, {"temperature", 0.8}};
  return r;
}

struct TextServiceTest : ::testing::Test {
  explicit TextServiceTest(int pages = 64) {
    host.model = testing::fake_loaded_model();
    host.cache = std::make_unique<testing::FakeCache>(pages);
    host.context_tokens = 1024;
    service = std::make_unique<TextService>(io.get_executor(), host, TextService::Options{"node-1", "fake", {}});
  }
  // After all run()s ended: everything must be back. The engine hears of a cancellation before its next step, so
  // asking it for one more answer is enough to have it applied.
  void expect_nothing_held() {
    EXPECT_EQ(service->active(), 0);
    Sink sink;
    asio::co_spawn(io, service->run(request(1000, 1), sink), asio::detached);
    io.restart();
    io.run();
    EXPECT_EQ(sink.terminal, 1);
    const json::object s = service->status();
    EXPECT_EQ(s.at("running"), 0);
    EXPECT_EQ(s.at("waiting"), 0);
    EXPECT_EQ(s.at("free_pages").to_number<int>() + s.at("cached_pages").to_number<int>(), s.at("pages").to_number<int>());
  }
  Host host;
  asio::io_context io{1};
  std::unique_ptr<TextService> service;
};

TEST_F(TextServiceTest, AnswersWithItsNames) {
  Sink sink;
  asio::co_spawn(io, service->run(request(1), sink), asio::detached);
  io.run();
  EXPECT_EQ(sink.terminal, 1);
  EXPECT_EQ(sink.model, "fake");
  EXPECT_EQ(sink.error.message, "");
  expect_nothing_held();
}

TEST_F(TextServiceTest, TokensAreCountedWithoutAStep) {
  const auto run = [&](bool counting) {
    Sink sink;
    auto r = request(1, 1);
    if (counting) r.params["count_tokens"] = true;
    asio::co_spawn(io, service->run(r, sink), asio::detached);
    io.restart();
    io.run();
    EXPECT_EQ(sink.terminal, 1);
    EXPECT_EQ(sink.error.message, "");
    return sink;
  };
  const Sink counted = run(true);
  EXPECT_EQ(service->status().at("steps"), 0);
  EXPECT_EQ(counted.read, 0);
  const Sink answered = run(false);
  EXPECT_GT(answered.read, 0);
  EXPECT_EQ(counted.value.at("input_tokens"), answered.read);
  expect_nothing_held();
}

TEST_F(TextServiceTest, BadParametersAreOneFailure) {
  Sink sink;
  auto r = request(1);
  r.params = {{"prompt", "x"}, {"stop", "not a list of strings"}, {"top_p", "no"}};
  asio::co_spawn(io, service->run(r, sink), asio::detached);
  io.run();
  EXPECT_EQ(sink.events, 1);
  EXPECT_EQ(sink.error.code, Code::InvalidInput);
  expect_nothing_held();
}

TEST_F(TextServiceTest, AnotherTaskIsRefused) {
  Sink sink;
  auto r = request(1);
  r.task = "image-classification";
  asio::co_spawn(io, service->run(r, sink), asio::detached);
  io.run();
  EXPECT_EQ(sink.error.code, Code::InvalidInput);
}

TEST_F(TextServiceTest, DrainingRefusesTheNewAndFinishesTheOld) {
  Sink before, after;
  asio::co_spawn(io, service->run(request(1), before), asio::detached);
  asio::post(io, [&] {
    service->drain();
    asio::co_spawn(io, service->run(request(2), after), asio::detached);
  });
  io.run();
  EXPECT_EQ(before.terminal, 1);
  EXPECT_EQ(before.error.message, "");
  EXPECT_EQ(after.error.code, Code::Busy);
}

TEST_F(TextServiceTest, APassedDeadlineIsATimeout) {
  Sink sink;
  auto r = request(1, 900);
  r.deadline_ms = 1;  // 1970
  asio::co_spawn(io, service->run(r, sink), asio::detached);
  io.run();
  EXPECT_EQ(sink.error.code, Code::Timeout);
  expect_nothing_held();
}

// Sixty-four streams at once: some leave after a few events, some are cancelled from outside at a random moment
// (before, while and after they are tokenised, queued, read and answered). The rest is answered as when alone.
TEST_F(TextServiceTest, SixtyFourStreamsWithRandomAbortsLeakNothing) {
  for (uint64_t round = 0; round < 8; ++round) {
    Random random(round);
    std::map<uint64_t, std::string> expected;
    std::vector<std::unique_ptr<Sink>> sinks;
    std::vector<std::shared_ptr<asio::cancellation_signal>> cancels;
    std::vector<uint64_t> survivors;
    for (uint64_t i = 0; i < 64; ++i) {
      sinks.push_back(std::make_unique<Sink>());
      cancels.push_back(std::make_shared<asio::cancellation_signal>());
      if (random.chance(0.3)) sinks[i]->leave_after = static_cast<int>(1 + random.below(20));
      asio::co_spawn(io, service->run(request(i, static_cast<int>(1 + random.below(80)), std::string(1 + random.below(200), 'p')), *sinks[i]),
                     asio::bind_cancellation_slot(cancels[i]->slot(), [](std::exception_ptr) {}));
    }
    io.restart();
    // A handler that cancels someone each time the loop has gone round some times.
    int cancelled = 0;
    while (io.run_one() > 0)
      if (random.chance(0.01) && cancelled < 30) {
        ++cancelled;
        // From a handler: Boost 1.81 defers an emit from elsewhere, and by then the coroutine may be gone.
        asio::post(io, [signal = cancels[random.below(64)]] { signal->emit(asio::cancellation_type::terminal); });
      }
    EXPECT_EQ(service->active(), 0);
  }
  expect_nothing_held();
}

TEST_F(TextServiceTest, TheSameSeedGivesTheSameTextAloneAndInACrowd) {
  std::vector<std::string> alone;
  for (uint64_t i = 0; i < 12; ++i) {
    Sink sink;
    asio::co_spawn(io, service->run(request(i), sink), asio::detached);
    io.restart();
    io.run();
    alone.push_back(sink.text);
  }
  std::vector<Sink> sinks(12);
  for (uint64_t i = 0; i < 12; ++i) asio::co_spawn(io, service->run(request(i), sinks[i]), asio::detached);
  io.restart();
  io.run();
  for (uint64_t i = 0; i < 12; ++i) EXPECT_EQ(sinks[i].text, alone[i]);
}

// A sink that takes nothing until it is told to: its sequence is held, so the model does not run ahead of it
// without bound, and others go on.
struct SlowSink : Sink {
  explicit SlowSink(asio::io_context& io) : gate(io, asio::steady_timer::time_point::max()) {}
  protocol::task<bool> put(protocol::Event event) override {
    if (!open) {
      boost::system::error_code ignored;
      co_await gate.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    co_return co_await Sink::put(std::move(event));
  }
  asio::steady_timer gate;
  bool open = false;
};

TEST(TextServiceBacklog, ASlowReaderHoldsItsOwnSequenceOnly) {
  Host host;
  host.model = testing::fake_loaded_model();
  host.cache = std::make_unique<testing::FakeCache>(400);
  host.context_tokens = 8192;
  asio::io_context io{1};
  TextService service(io.get_executor(), host, {"n", "fake", {}});
  SlowSink slow(io);
  auto r = request(5, 6000);
  r.params["ignore_eos"] = true;
  asio::co_spawn(io, service.run(r, slow), asio::detached);
  // Others come and are answered one after the other, until the slow one's sequence no longer moves.
  uint64_t tokens = 0;
  for (int quiet = 0; quiet < 20;) {
    Sink quick;
    auto one = request(7, 1);
    one.params["ignore_eos"] = true;
    bool done = false;
    asio::co_spawn(io, service.run(one, quick), [&](std::exception_ptr) { done = true; });
    io.restart();
    while (!done) io.run_one();
    EXPECT_EQ(quick.error.message, "");
    const uint64_t now = service.status().at("tokens").to_number<uint64_t>();
    quiet = now == tokens + 1 ? quiet + 1 : 0;
    tokens = now;
  }
  EXPECT_EQ(service.status().at("running"), 1);
  EXPECT_LT(tokens, 6000u);
  slow.open = true;
  slow.gate.cancel();
  io.restart();
  io.run();
  EXPECT_EQ(slow.terminal, 1);
  EXPECT_EQ(service.active(), 0);
}

// The deadline passes while the engine is at the answer, and a slow reader holds it there: the engine gives it up by itself, and
// nothing of it is left. A machine too slow to begin before the deadline is given longer.
TEST(TextServiceBacklog, ADeadlineThatPassesInsideTheEngineEndsTheAnswer) {
  Host host;
  host.model = testing::fake_loaded_model();
  host.cache = std::make_unique<testing::FakeCache>(400);
  host.context_tokens = 8192;
  asio::io_context io{1};
  TextService service(io.get_executor(), host, {"n", "fake", {}});
  bool began = false;
  for (int64_t ms = 50; !began; ms *= 4) {
    SlowSink slow(io);
    auto r = request(5, 6000);
    r.params["ignore_eos"] = true;
    r.deadline_ms = unix_ms() + ms;
    asio::co_spawn(io, service.run(r, slow), asio::detached);
    io.restart();
    while (unix_ms() <= r.deadline_ms) io.poll();
    began = service.status().at("tokens").to_number<uint64_t>() > 0;  // it has left the queue
    // The reader has not moved, and it is over all the same.
    while (began && service.status().at("running") != 0) io.poll();
    EXPECT_EQ(slow.terminal, 0);
    slow.open = true;
    slow.gate.cancel();
    io.restart();
    io.run();
    EXPECT_EQ(slow.terminal, 1);
    EXPECT_EQ(slow.error.code, Code::Timeout);
    EXPECT_LT(slow.text.size(), 6000u);
  }
  EXPECT_EQ(service.active(), 0);
  const json::object s = service.status();
  EXPECT_EQ(s.at("waiting"), 0);
  EXPECT_EQ(s.at("free_pages").to_number<int>() + s.at("cached_pages").to_number<int>(), s.at("pages").to_number<int>());
}

}  // namespace
}  // namespace verge::worker
