#include "protocol/frame.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/limits.h"
#include "support/random.h"

namespace verge::protocol {
namespace {

std::string json_of(const Event& event) {
  std::string frame;
  encode_event(event, frame);
  return frame.substr(4);
}
Event round_trip(const Event& event) {
  auto back = decode_event(json_of(event));
  EXPECT_TRUE(back) << back.error().message;
  return back ? *back : Event(End{});
}

std::string whole(const Request& request) {
  return encode_request_head(request) + std::string(request.payload.view());
}

Request full_request() {
  Request r;
  r.id = "0b8b8a8e-0000-4000-8000-000000000000";
  r.model = "@cf/meta/llama-3.2-1b-instruct";
  r.task = "text-generation";
  r.params = parse_json(R"({"messages":[{"role":"user","content":"Grüße \u0001 \"x\" 😀"}],"temperature":0.30000000000000004,"deep":[[[1,-2,1e300]]]})")->as_object();
  r.payload = std::string("\0\xff raw \n", 8);
  r.tenant = "account";
  r.seed = std::numeric_limits<uint64_t>::max();
  r.deadline_ms = 1'790'000'000'123;
  r.reject_if_busy = true;
  r.affinity = "session";
  r.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  r.resume_ids = {0, 1, -1, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()};
  return r;
}

void expect_equal(const Request& a, const Request& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.task, b.task);
  EXPECT_EQ(json::serialize(a.params), json::serialize(b.params));
  EXPECT_EQ(a.payload.view(), b.payload.view());
  EXPECT_EQ(a.tenant, b.tenant);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.deadline_ms, b.deadline_ms);
  EXPECT_EQ(a.reject_if_busy, b.reject_if_busy);
  EXPECT_EQ(a.affinity, b.affinity);
  EXPECT_EQ(a.traceparent, b.traceparent);
  EXPECT_EQ(a.resume_ids, b.resume_ids);
}

TEST(RequestFrame, EveryFieldComesBack) {
  const Request full = full_request();
  const auto back = decode_request(whole(full));
  ASSERT_TRUE(back) << back.error().message;
  expect_equal(full, *back);
  Request small;
  small.id = "i", small.model = "m", small.task = "t";
  const auto again = decode_request(whole(small));
  ASSERT_TRUE(again);
  expect_equal(small, *again);
}

TEST(RequestFrame, CutOrChangedBytesAreErrorsNotCrashes) {
  const std::string wire = whole(full_request());
  const size_t payload = full_request().payload.size();
  for (size_t n = 0; n < wire.size() - payload; ++n) EXPECT_FALSE(decode_request(wire.substr(0, n))) << n;
  Random random(3);
  for (int i = 0; i < 5000; ++i) {
    std::string changed = wire;
    for (int k = 0; k < 3; ++k) changed[random.below(changed.size())] = static_cast<char>(random.next());
    const auto back = decode_request(changed);
    EXPECT_FALSE(back && back->id.empty());
  }
}

TEST(RequestFrame, RefusesWhatIsNotARequest) {
  const auto frame = [](const std::string& header) { return std::string{static_cast<char>(header.size()), 0, 0, 0} + header; };
  for (const char* header : {"", "[]", "{}", "{\"id\":\"i\",\"model\":\"m\",\"task\":\"t\"}", "{\"id\":\"i\",\"model\":\"m\",\"task\":\"t\",\"seed\":-1}",
                             "{\"id\":\"i\",\"model\":\"m\",\"task\":\"t\",\"seed\":1,\"params\":[]}", "{\"id\":\"i\",\"model\":\"m\",\"task\":\"t\",\"seed\":1,\"resume_ids\":[1.5]}",
                             "{\"id\":\"i\",\"model\":\"m\",\"task\":\"t\",\"seed\":1,\"resume_ids\":[9999999999]}"})
    EXPECT_FALSE(decode_request(frame(header))) << header;
  EXPECT_TRUE(decode_request(frame("{\"id\":\"i\",\"model\":\"m\",\"task\":\"t\",\"seed\":1,\"new_field\":{}}"))) << "a newer peer can be read";
  EXPECT_FALSE(decode_request(std::string("\xff\xff\xff\xff{}", 6)));
}

TEST(EventFrame, EveryKindComesBack) {
  const auto accepted = std::get<Accepted>(round_trip(Accepted{12, 5, "node-1", "@verge/x", true}));
  EXPECT_EQ(12, accepted.prompt_tokens);
  EXPECT_EQ(5, accepted.cached_tokens);
  EXPECT_EQ("node-1", accepted.node);
  EXPECT_EQ("@verge/x", accepted.model);
  EXPECT_TRUE(accepted.substituted);
  const auto usage = std::get<Usage>(round_trip(Usage{1, 2, 3}));
  EXPECT_EQ(1, usage.prompt_tokens);
  EXPECT_EQ(2, usage.completion_tokens);
  EXPECT_EQ(3, usage.cached_tokens);
  const Usage all{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(all, std::get<Usage>(round_trip(all)));
  EXPECT_EQ("length", std::get<End>(round_trip(End{"length"})).finish_reason);
  EXPECT_EQ("{\"a\":[1,null]}", json::serialize(std::get<Result>(round_trip(Result{parse_json("{\"a\":[1,null]}").value()})).value));
  EXPECT_EQ("[2]", json::serialize(std::get<Part>(round_trip(Part{parse_json("[2]").value()})).value));
  const auto error = std::get<Failure>(round_trip(Failure(Error{Code::ContextOverflow, "5 tokens, limit 4 \xff", 5, 4, 7}))).error;
  EXPECT_EQ(Code::ContextOverflow, error.code);
  EXPECT_EQ("5 tokens, limit 4 \uFFFD", error.message);
  EXPECT_EQ(5, error.requested);
  EXPECT_EQ(4, error.limit);
  EXPECT_EQ(7, error.retry_after_ms);
}

TEST(EventFrame, AnErrorSaysWhereInTheRequestItIs) {
  const Error error = fail_at(Code::InvalidInput, "/top_k", "'/top_k' must be <= {}", 50);
  const Error back = std::get<Failure>(round_trip(Failure(error))).error;
  EXPECT_EQ("/top_k", back.pointer);
  EXPECT_EQ("'/top_k' must be <= 50", back.message);
  EXPECT_EQ("", std::get<Failure>(round_trip(Failure(fail(Code::Busy, "full")))).error.pointer);
}

// Bytes of an answer stand raw behind the JSON, whatever they are, and the next event is found behind them.
TEST(EventFrame, BytesTravelBesideTheJson) {
  const std::string bytes("\0\xff{\"e\":\"end\"}\r\n", 15);
  const json::value value = parse_json("{\"seconds\":1.5}").value();
  std::string wire;
  encode_event(Part{value, {"audio/wav", bytes}}, wire);
  encode_event(Result{value, {"", bytes}}, wire);
  encode_event(End{"stop"}, wire);
  EXPECT_NE(std::string::npos, wire.find(bytes));
  for (size_t step : {size_t{1}, size_t{3}, wire.size()}) {
    EventReader reader;
    std::vector<Event> events;
    for (size_t at = 0; at < wire.size(); at += step) {
      reader.feed(std::string_view(wire).substr(at, step));
      while (true) {
        auto event = reader.next();
        ASSERT_TRUE(event) << event.error().message;
        if (!event->has_value()) break;
        events.push_back(std::move(**event));
      }
    }
    ASSERT_EQ(3u, events.size());
    EXPECT_EQ((Blob{"audio/wav", bytes}), std::get<Part>(events[0]).blob);
    EXPECT_EQ(value, std::get<Part>(events[0]).value);
    EXPECT_EQ((Blob{"", bytes}), std::get<Result>(events[1]).blob);
    EXPECT_EQ("stop", std::get<End>(events[2]).finish_reason);
    EXPECT_FALSE(reader.partial());
  }
  // More bytes than an event may have are refused before they come.
  EventReader reader;
  reader.feed(std::string("\2\0\0\x80\xff\xff\xff\x7f", 8));
  EXPECT_FALSE(reader.next());
}

// A copy of a request holds the same bytes as the first, and what was decoded holds the bytes that came.
TEST(RequestFrame, APayloadIsInMemoryOnce) {
  Request request = full_request();
  request.payload = std::string(100'000, 'p');
  const Request copy = request;
  EXPECT_EQ(request.payload.view().data(), copy.payload.view().data());
  std::string wire = whole(request);
  const char* const first = wire.data() + wire.size() - request.payload.size();
  const auto back = decode_request(std::move(wire));
  ASSERT_TRUE(back);
  EXPECT_EQ(first, back->payload.view().data());
  EXPECT_EQ(request.payload.view(), back->payload.view());
}

TEST(EventFrame, TokensComeBackByteForByte) {
  for (const std::string& text : {std::string(), std::string("plain"), std::string("quote \" back \\ slash / \n\t\x01\x7f"), std::string("Grüße 😀"), std::string("half \xf0\x9f"),
                                  std::string("\xff\xfe\x00\x80", 4), std::string("\"}"), std::string("\xed\xa0\x80"), std::string("\xc0\xaf")}) {
    const auto token = std::get<Token>(round_trip(Token{{1, -2, 2'000'000'000}, text, {}}));
    EXPECT_EQ(text, token.text);
    EXPECT_EQ((std::vector<int32_t>{1, -2, 2'000'000'000}), token.ids);
  }
  EXPECT_TRUE(std::get<Token>(round_trip(Token{{}, "only text", {}})).ids.empty());
}

TEST(EventFrame, LogprobsComeBackBitForBit) {
  Random random(5);
  Token token{{7, 8}, "x", {}};
  const float inf = std::numeric_limits<float>::infinity();
  for (int i = 0; i < 2; ++i) {
    TokenLogprob entry{{7, "\xf0", -inf}, {}};
    for (int k = 0; k < 200; ++k) {
      const auto bits = static_cast<uint32_t>(random.next());
      float value;
      std::memcpy(&value, &bits, sizeof value);
      if (std::isnan(value)) value = inf;
      entry.top.push_back({k, "t" + std::to_string(k), value});
    }
    token.logprobs.push_back(entry);
  }
  const auto back = std::get<Token>(round_trip(token));
  ASSERT_EQ(2u, back.logprobs.size());
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ("\xf0", back.logprobs[i].chosen.text);
    EXPECT_EQ(-inf, back.logprobs[i].chosen.logprob);
    ASSERT_EQ(200u, back.logprobs[i].top.size());
    for (size_t k = 0; k < 200; ++k) EXPECT_EQ(token.logprobs[i].top[k].logprob, back.logprobs[i].top[k].logprob);
  }
}

TEST(EventFrame, RefusesWhatIsNoEvent) {
  for (const char* text : {"", "[]", "{}", "{\"e\":\"new\"}", "{\"e\":\"token\"}", "{\"e\":\"token\",\"ids\":[1.5],\"text\":\"\"}", "{\"e\":\"token\",\"ids\":[1,],\"text\":\"\"}",
                           "{\"e\":\"token\",\"ids\":[99999999999],\"text\":\"\"}", "{\"e\":\"token\",\"ids\":[1],\"text\":1}", "{\"e\":\"token\",\"ids\":[1],\"text\":\"a\"b\"}",
                           "{\"e\":\"token\",\"ids\":[1],\"text\":\"\xff\"}", "{\"e\":\"token\",\"ids\":[1],\"text_hex\":\"0g\"}", "{\"e\":\"token\",\"ids\":[1],\"text_hex\":\"0\"}",
                           "{\"e\":\"token\",\"ids\":[1],\"text\":\"\",\"logprobs\":[1]}", "{\"e\":\"result\"}"})
    EXPECT_FALSE(decode_event(text)) << text;
}

TEST(EventReader, CutsAStreamWhereverItIsBroken) {
  std::string stream;
  for (int i = 0; i < 50; ++i) encode_event(Token{{i}, "text " + std::to_string(i), {}}, stream);
  encode_event(End{"stop"}, stream);
  for (size_t step : {size_t{1}, size_t{3}, size_t{64}, stream.size()}) {
    EventReader reader;
    int tokens = 0;
    bool ended = false;
    for (size_t at = 0; at < stream.size(); at += step) {
      reader.feed(std::string_view(stream).substr(at, step));
      while (true) {
        auto event = reader.next();
        ASSERT_TRUE(event);
        if (!event->has_value()) break;
        if (auto* token = std::get_if<Token>(&**event)) {
          EXPECT_EQ(tokens++, token->ids.at(0));
        }
        else ended = true;
      }
    }
    EXPECT_EQ(50, tokens);
    EXPECT_TRUE(ended);
    EXPECT_FALSE(reader.partial());
  }
}

TEST(EventReader, RefusesALengthNoEventHasBeforeItArrives) {
  EventReader reader;
  reader.feed("\xff\xff\xff\x7f");
  EXPECT_FALSE(reader.next());
}

}  // namespace
}  // namespace verge::protocol
