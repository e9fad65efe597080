// What holds of streams when things go wrong: G1, G2 and G3 of generation.h.
#include "tests/api/server.h"

namespace verge::api::testing {
namespace {

namespace asio = boost::asio;

class StreamTest : public ApiTest {
 protected:
  static constexpr const char* kChat = "/v1/chat/completions";
  static std::string chat(const std::string& more) {
    return R"({"model":"@cf/meta/llama-3.2-1b-instruct","messages":[{"role":"user","content":"hi"}],"stream":true)" + more + "}";
  }
  // Says `events` and then waits to be cancelled.
  void say_then_wait(std::vector<Event> events) {
    service_.script = [events = std::move(events)](const protocol::Request&, EventSink& sink) -> protocol::task<void> {
      for (Event event : events) {
        const bool taken = co_await sink.put(std::move(event));
        if (!taken) co_return;
      }
      const asio::any_io_executor executor = co_await asio::this_coro::executor;
      asio::steady_timer forever(executor, asio::steady_timer::time_point::max());
      co_await forever.async_wait(asio::use_awaitable);
    };
  }
};

// Promises: GE2.
TEST_F(StreamTest, FailureAfterTheFirstTokenIsOneEventAndNoDone) {
  service_.say({accepted(), token(1, "Hel"), failure(Code::WorkerGone, "the worker died")});
  Answer answer = run(R"({"prompt":"x","stream":true})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.complete);
  auto events = answer.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(json::parse(events[0]).at("response"), "Hel");
  EXPECT_EQ(json::parse(events[1]).at("errors").at(0).at("code"), 5001);
  EXPECT_EQ(json::parse(events[1]).at("success"), false);

  answer = post(kChat, chat(""));
  events = answer.events();
  EXPECT_EQ(json::parse(events.back()).at("error").at("type"), "server_error");
}

// Promises: GE1.
TEST_F(StreamTest, FailureAfterAcceptedIsStillAStatus) {
  service_.say({accepted(), failure(Code::Busy, "")});
  EXPECT_EQ(run(R"({"prompt":"x","stream":true})").status, 429);
}

TEST_F(StreamTest, NoTokenAtAllIsAnEmptyAnswer) {
  service_.say({accepted(), usage(7, 0), end()});
  Answer answer = run(R"({"prompt":"x","stream":true})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.events().size(), 2u);
  EXPECT_EQ(run(R"({"prompt":"x"})").json().at("result").at("response"), "");
}

TEST_F(StreamTest, ServiceThatForgetsItsTerminalEventIsAnInternalError) {
  service_.say({accepted()});
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 500);
  service_.say({accepted(), token(1, "a")});
  Answer answer = run(R"({"prompt":"x","stream":true})");
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(json::parse(answer.events().back()).as_object().contains("errors"));
}

TEST_F(StreamTest, ServiceThatThrowsIsAnInternalError) {
  service_.script = [](const protocol::Request&, EventSink&) -> protocol::task<void> {
    throw std::runtime_error("boom");
    co_return;
  };
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 500);
  service_.script = nullptr;
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
}

TEST_F(StreamTest, ServiceThatGoesOnAfterItsEndIsStopped) {
  service_.say({accepted(), token(1, "a"), usage(7, 1), end(), token(2, "b"), end("length")});
  EXPECT_EQ(run(R"({"prompt":"x"})").json().at("result").at("response"), "a");
}

TEST_F(StreamTest, InvalidUtf8IsReplaced) {
  service_.say({accepted(), token(1, "a\xff\xC0\x80z"), usage(7, 1), end()});
  EXPECT_EQ(run(R"({"prompt":"x"})").json().at("result").at("response"), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
}

TEST_F(StreamTest, SilentStreamGetsComments) {
  service_.script = [](const protocol::Request&, EventSink& sink) -> protocol::task<void> {
    Event first = token(1, "a"), last = end();
    co_await sink.put(std::move(first));
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    asio::steady_timer pause(executor, std::chrono::milliseconds(60));
    co_await pause.async_wait(asio::use_awaitable);
    co_await sink.put(std::move(last));
  };
  Options options;
  options.keep_alive_ms = 5;
  start(std::move(options));
  Answer answer = run(R"({"prompt":"x","stream":true})");
  EXPECT_TRUE(answer.complete);
  EXPECT_NE(answer.body.find(": keep-alive\n\n"), std::string::npos);
  EXPECT_EQ(answer.events().size(), 3u);
}

TEST_F(StreamTest, ClientThatLeavesBeforeTheFirstTokenCancelsTheRun) {
  say_then_wait({});
  start();
  {
    Connection connection(server_->port());
    connection.send(request("POST", rest(), R"({"prompt":"x","stream":true})"));
    while (service_.requests().empty()) std::this_thread::yield();
  }
  service_.wait_ended(1);
  EXPECT_EQ(service_.running, 0);
}

// Promises: GE4.
TEST_F(StreamTest, ClientThatLeavesMidStreamCancelsTheRun) {
  say_then_wait({accepted(), token(1, "first")});
  start();
  {
    Connection connection(server_->port());
    connection.send(request("POST", rest(), R"({"prompt":"x","stream":true})"));
    ASSERT_TRUE(connection.read_until("first"));
  }
  service_.wait_ended(1);
  EXPECT_EQ(service_.running, 0);
}

TEST_F(StreamTest, ClientThatLeavesCancelsAllAnswers) {
  say_then_wait({accepted(), token(1, "first")});
  start();
  {
    Connection connection(server_->port());
    connection.send(request("POST", kChat, chat(R"(,"n":4)")));
    ASSERT_TRUE(connection.read_until("first"));
  }
  service_.wait_ended(4);
  EXPECT_EQ(service_.running, 0);
}

TEST_F(StreamTest, WholeAnswersOfAClientThatLeavesAreCancelledToo) {
  say_then_wait({accepted(), token(1, "first")});
  start();
  {
    Connection connection(server_->port());
    connection.send(request("POST", rest(), R"({"prompt":"x"})"));
    while (service_.requests().empty()) std::this_thread::yield();
  }
  service_.wait_ended(1);
}

TEST_F(StreamTest, ReaderThatStopsIsAnsweredByWaiting) {
  // Far more than socket buffers hold: put() must wait, and the run must end when the reader leaves.
  std::atomic<int> put{0};
  service_.script = [&put](const protocol::Request&, EventSink& sink) -> protocol::task<void> {
    for (int i = 0; i < 200000; ++i) {
      Event event = token(1, std::string(1000, 'x'));
      const bool taken = co_await sink.put(std::move(event));
      if (!taken) co_return;
      ++put;
    }
  };
  start();
  {
    Connection connection(server_->port());
    connection.send(request("POST", rest(), R"({"prompt":"x","stream":true})"));
    ASSERT_TRUE(connection.read_until("xxxx"));
  }
  service_.wait_ended(1);
  EXPECT_LT(put, 200000);
}

// Promises: GE4.
TEST_F(StreamTest, OneOfSeveralThatFailsEndsTheAnswer) {
  service_.script = [n = 0](const protocol::Request&, EventSink& sink) mutable -> protocol::task<void> {
    const bool fails = n++ == 1;
    Event first = accepted(), second = token(1, "a");
    co_await sink.put(std::move(first));
    if (fails) {
      Event error = failure(Code::Busy, "");
      co_await sink.put(std::move(error));
      co_return;
    }
    co_await sink.put(std::move(second));
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    asio::steady_timer forever(executor, asio::steady_timer::time_point::max());
    co_await forever.async_wait(asio::use_awaitable);
  };
  Answer answer = post(kChat, chat(R"(,"n":3)"));
  EXPECT_EQ(service_.running, 0);
  // Before the first token of another answer it is a status, after it an event.
  const bool in_stream = answer.status == 200 && json::parse(answer.events().back()).as_object().contains("error");
  EXPECT_TRUE(in_stream || answer.status == 429);
}

// Promises: GE2.
TEST_F(StreamTest, ManyAtOnceWithRandomAborts) {
  start();
  auto client = [&](int seed) {
    for (int i = 0; i < 30; ++i) {
      Connection connection(server_->port());
      connection.send(request("POST", rest(), R"({"prompt":"x","stream":true})"));
      if ((seed + i) % 3 == 0) continue;  // leaves at once
      if ((seed + i) % 3 == 1) {
        connection.read_until("Hello");
        continue;
      }
      Answer answer = connection.read_answer();
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.events().back(), "[DONE]");
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) threads.emplace_back(client, t);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(run(R"({"prompt":"x"})").status, 200);
  stop();
  EXPECT_EQ(service_.running, 0);
}

}  // namespace
}  // namespace verge::api::testing
