#include "router/router.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>

#include "router/registry.h"
#include "support/clock.h"
#include "support/random.h"
#include "tests/http/loop.h"

namespace verge::router {
namespace {

using namespace protocol;

constexpr int kTokens = 40;

// The text a model would give: a function of seed and position alone.
Token token_at(uint64_t seed, int position) {
  const auto id = static_cast<int32_t>(random_at(seed, static_cast<uint64_t>(position)) % 1000);
  return Token{{id}, " " + std::to_string(id), {}};
}

// A node that answers deterministically, continues after resume_ids, and fails as it is told.
class FakeNode : public Service {
 public:
  FakeNode(asio::io_context& io, std::string name) : io_(io), name_(std::move(name)) {}
  task<void> run(Request request, EventSink& sink) override {
    struct Running {
      int& count;
      ~Running() { --count; }
    } running{running_};
    ++running_;
    ++runs;
    const int attempt_plan = plan ? plan(request) : -1;  // tokens until it dies; -1 never, -2 busy, -3 invalid, -4 dies at once
    co_await asio::post(io_, asio::use_awaitable);
    if (mute) {
      asio::steady_timer timer(io_, std::chrono::hours(1));
      co_await timer.async_wait(asio::use_awaitable);
    }
    if (attempt_plan == -2 || attempt_plan == -3) {
      Error error = attempt_plan == -2 ? fail(Code::Busy, "full") : fail(Code::InvalidInput, "wrong");
      co_await sink.put(Failure{error});
      co_return;
    }
    if (attempt_plan == -4) {
      co_await sink.put(Failure{fail(Code::WorkerGone, "refused")});
      co_return;
    }
    Event accepted = Accepted{10, 0, name_, request.model, false};
    bool taken = co_await sink.put(std::move(accepted));
    if (!taken) co_return;
    int given = 0;
    for (int i = static_cast<int>(request.resume_ids.size()); i < kTokens; ++i) {
      if (given == attempt_plan) {
        co_await sink.put(Failure{fail(Code::WorkerGone, "killed")});
        co_return;
      }
      if (hang_after >= 0 && given == hang_after) {
        asio::steady_timer timer(io_, std::chrono::hours(1));
        co_await timer.async_wait(asio::use_awaitable);
      }
      Event token = token_at(request.seed, i);
      taken = co_await sink.put(std::move(token));
      if (!taken) co_return;
      ++given;
    }
    co_await sink.put(Usage{10, kTokens, 0});
    co_await sink.put(End{"stop"});
  }

  std::function<int(const Request&)> plan;
  int hang_after = -1;
  bool mute = false;  // it hangs before its first event
  int runs = 0;
  int running_ = 0;

 private:
  asio::io_context& io_;
  std::string name_;
};

struct Collect : EventSink {
  task<bool> put(Event event) override {
    EXPECT_EQ(0, terminals) << "nothing comes after the end";
    if (std::holds_alternative<Accepted>(event)) ++accepted;
    if (auto* token = std::get_if<Token>(&event)) text += token->text, ids.insert(ids.end(), token->ids.begin(), token->ids.end());
    if (std::holds_alternative<Usage>(event)) ++usages;
    if (terminal(event)) ++terminals;
    if (auto* failure = std::get_if<Failure>(&event)) error = failure->error;
    co_return true;
  }
  int accepted = 0, terminals = 0, usages = 0;
  std::string text;
  std::vector<int32_t> ids;
  std::optional<Error> error;
};

std::string whole_text(uint64_t seed) {
  std::string text;
  for (int i = 0; i < kTokens; ++i) text += token_at(seed, i).text;
  return text;
}

class RouterTest : public ::testing::Test {
 protected:
  Request request(uint64_t seed = 5) {
    Request r;
    r.id = "id", r.model = "m", r.task = "text-generation", r.seed = seed;
    return r;
  }
  void run(Collect& sink, uint64_t seed = 5) {
    run_to_end(io_, [&]() -> task<void> {
      Request r = request(seed);
      co_await router_.run(std::move(r), sink);
    });
  }
  void expect_whole(const Collect& sink, uint64_t seed = 5) {
    EXPECT_EQ(whole_text(seed), sink.text);
    EXPECT_EQ(1, sink.accepted);
    EXPECT_EQ(1, sink.usages);
    EXPECT_EQ(1, sink.terminals);
    EXPECT_FALSE(sink.error) << sink.error->message;
  }

  asio::io_context io_{1};
  metrics::Registry metrics_;
  Router router_{io_.get_executor(), &metrics_};
  FakeNode a_{io_, "a"}, b_{io_, "b"};
};

TEST_F(RouterTest, ForwardsAnAnswer) {
  router_.add_node("a", a_);
  Collect sink;
  run(sink);
  expect_whole(sink);
  EXPECT_EQ(1, a_.runs);
}

// A reader that reads nothing holds no place on a node: the answer goes on from where it was when it reads again.
TEST_F(RouterTest, AReaderThatReadsNothingHoldsNoPlace) {
  struct Slow : Collect {
    Slow(FakeNode& n, asio::io_context& i) : node(n), io(i) {}
    bool stalled() const override { return !ids.empty() && ids.size() % 15 == 0; }
    task<bool> caught_up() override {
      EXPECT_EQ(0, node.running_);
      ++waits;
      co_await asio::post(io, asio::use_awaitable);
      co_return here;
    }
    FakeNode& node;
    asio::io_context& io;
    int waits = 0;
    bool here = true;
  };
  router_.add_node("a", a_);
  Slow sink(a_, io_);
  run(sink);
  expect_whole(sink);
  EXPECT_EQ(2, sink.waits);
  EXPECT_EQ(3, a_.runs);
  EXPECT_EQ(std::string::npos, metrics_.text().find("verge_router_retries_total{"));
  Slow gone(a_, io_);
  gone.here = false;
  run(gone);
  EXPECT_EQ(0, gone.terminals);
  EXPECT_EQ(15u, gone.ids.size());
}

TEST_F(RouterTest, AWorkerLostBeforeTheFirstTokenIsInvisible) {
  router_.add_node("a", a_);
  int lives = 0;
  a_.plan = [&](const Request&) { return lives++ == 0 ? -4 : -1; };
  Collect sink;
  run(sink);
  expect_whole(sink);
  EXPECT_EQ(2, a_.runs);
}

TEST_F(RouterTest, AWorkerLostInTheMiddleIsInvisibleToo) {
  router_.add_node("a", a_);
  router_.add_node("b", b_);
  for (int position = 0; position < kTokens; ++position) {
    int lives = 0;
    a_.plan = b_.plan = [&](const Request& r) {
      if (lives++ == 0) return position;
      EXPECT_EQ(static_cast<size_t>(position), r.resume_ids.size());
      return -1;
    };
    Collect sink;
    run(sink, static_cast<uint64_t>(position));
    expect_whole(sink, static_cast<uint64_t>(position));
  }
  EXPECT_NE(std::string::npos, metrics_.text().find("verge_router_resumes_total 39"));
}

TEST_F(RouterTest, SurvivesManyDeathsAsLongAsThereIsProgress) {
  router_.add_node("a", a_);
  a_.plan = [](const Request&) { return 5; };
  Collect sink;
  run(sink);
  expect_whole(sink);
  EXPECT_EQ(kTokens / 5, a_.runs);
}

TEST_F(RouterTest, EndsWithOneFailureWhereNothingHelps) {
  router_.add_node("a", a_);
  a_.plan = [](const Request&) { return 0; };
  Collect sink;
  run(sink);
  ASSERT_TRUE(sink.error);
  EXPECT_EQ(Code::WorkerGone, sink.error->code);
  EXPECT_EQ(1, sink.terminals);
  EXPECT_EQ(3, a_.runs);
}

TEST_F(RouterTest, ABadRequestIsSentOnce) {
  router_.add_node("a", a_);
  router_.add_node("b", b_);
  a_.plan = b_.plan = [](const Request&) { return -3; };
  Collect sink;
  run(sink);
  ASSERT_TRUE(sink.error);
  EXPECT_EQ(Code::InvalidInput, sink.error->code);
  EXPECT_EQ(1, a_.runs + b_.runs);
}

TEST_F(RouterTest, ABusyNodeIsReplacedByAnother) {
  router_.add_node("a", a_);
  router_.add_node("b", b_);
  a_.plan = [](const Request&) { return -2; };
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Collect sink;
    run(sink, seed);
    expect_whole(sink, seed);
  }
  b_.plan = a_.plan;
  Collect sink;
  run(sink);
  EXPECT_EQ(Code::Busy, sink.error->code);
}

TEST_F(RouterTest, WithoutNodesItIsBusyAndSaysWhen) {
  Collect sink;
  run(sink);
  ASSERT_TRUE(sink.error);
  EXPECT_EQ(Code::Busy, sink.error->code);
  EXPECT_GT(sink.error->retry_after_ms, 0);
}

TEST_F(RouterTest, ADrainingNodeGetsNothingNew) {
  router_.add_node("a", a_);
  router_.add_node("b", b_);
  router_.set_draining("a", true);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Collect sink;
    run(sink, seed);
  }
  EXPECT_EQ(0, a_.runs);
  EXPECT_EQ(10, b_.runs);
}

TEST_F(RouterTest, CancellationReachesTheNodeAndLeavesNothing) {
  router_.add_node("a", a_);
  a_.hang_after = 3;
  asio::cancellation_signal signal;
  Collect sink;
  bool ended = false;
  asio::co_spawn(
      io_,
      [&]() -> task<void> {
        Request r = request();
        co_await router_.run(std::move(r), sink);
      },
      asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
  run_until(io_, [&] { return sink.ids.size() == 3; });
  signal.emit(asio::cancellation_type::terminal);
  run_until(io_, [&] { return ended; });
  EXPECT_EQ(0, a_.running_);
  EXPECT_EQ(1, a_.runs) << "a client that left is not retried";
}

// A5. Patience ends with the deadline at the latest.
TEST_F(RouterTest, ASilentNodeElsewhereIsLeftAndTheClientGetsAnAnswer) {
  a_.mute = b_.mute = true;
  NodeState state;
  state.models["m"].loaded = true;
  for (auto [name, node] : {std::pair<const char*, Service*>{"a", &a_}, {"b", &b_}}) {
    router_.add_node(name, *node, false);
    router_.update_node(name, state);
  }
  Collect sink;
  run_to_end(io_, [&]() -> task<void> {
    Request r = request();
    r.deadline_ms = unix_ms() + 50;
    co_await router_.run(std::move(r), sink);
  });
  EXPECT_TRUE(sink.error);
  EXPECT_EQ(1, sink.terminals);
  EXPECT_EQ(0, a_.running_ + b_.running_);
}

TEST_F(RouterTest, AReceiverThatIsGoneIsNotRetried) {
  router_.add_node("a", a_);
  struct Leaves : Collect {
    task<bool> put(Event) override { co_return ++count < 5; }
    int count = 0;
  } sink;
  run(sink);
  EXPECT_EQ(5, sink.count);
  EXPECT_EQ(1, a_.runs);
}

}  // namespace
}  // namespace verge::router
