#include "http/parse.h"

#include <gtest/gtest.h>

#include "support/limits.h"
#include "support/random.h"

namespace verge::http {
namespace {

// Scans and parses as a connection does; status 0 = accepted, -1 = the head is not complete.
int read_request(const std::string& wire, RequestHead& head, Framing& framing) {
  HeadScanner scanner;
  switch (scanner.scan(wire)) {
    case HeadScanner::State::More: return -1;
    case HeadScanner::State::Bad: return 400;
    case HeadScanner::State::Done: break;
  }
  return parse_request_head(std::string_view(wire).substr(0, scanner.size()), head, framing).status;
}
int status_of(const std::string& wire) {
  RequestHead head;
  Framing framing;
  return read_request(wire, head, framing);
}
std::string with(const std::string& lines) { return "POST /x HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n"; }

TEST(ParseRequest, ReadsTargetHeadersAndFraming) {
  RequestHead head;
  Framing framing;
  ASSERT_EQ(0, read_request("POST /client/v4/%40cf/a%20b?x=1&y=a+b%21 HTTP/1.1\r\nHost: localhost:8780\r\nContent-Length: 12\r\nX-Empty:\r\nX-Tab:\t v \t\r\n\r\n",
                            head, framing));
  EXPECT_EQ("POST", head.method);
  EXPECT_EQ("/client/v4/%40cf/a%20b?x=1&y=a+b%21", head.target);
  EXPECT_EQ("/client/v4/@cf/a b", head.path);
  EXPECT_EQ("x=1&y=a+b%21", head.query);
  EXPECT_EQ("a b!", head.query_param("y"));
  EXPECT_FALSE(head.query_param("z"));
  EXPECT_EQ("v", head.header("x-tab"));
  EXPECT_EQ("", head.header("X-EMPTY"));
  EXPECT_EQ(BodyKind::Length, framing.body);
  EXPECT_EQ(12u, framing.length);
  EXPECT_TRUE(framing.keep_alive);
}

TEST(ParseRequest, TakesAbsoluteFormAndAsterisk) {
  RequestHead head;
  Framing framing;
  ASSERT_EQ(0, read_request("GET http://h:1/p?q HTTP/1.1\r\nHost: h\r\n\r\n", head, framing));
  EXPECT_EQ("/p", head.path);
  ASSERT_EQ(0, read_request("GET HTTP://h HTTP/1.1\r\nHost: h\r\n\r\n", head, framing));
  EXPECT_EQ("/", head.path);
  ASSERT_EQ(0, read_request("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", head, framing));
  EXPECT_EQ(400, read_request("GET * HTTP/1.1\r\nHost: h\r\n\r\n", head, framing));
}

TEST(ParseRequest, KeepAliveFollowsVersionAndConnection) {
  RequestHead head;
  Framing framing;
  ASSERT_EQ(0, read_request("GET / HTTP/1.0\r\n\r\n", head, framing));
  EXPECT_FALSE(framing.keep_alive);
  ASSERT_EQ(0, read_request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", head, framing));
  EXPECT_TRUE(framing.keep_alive);
  ASSERT_EQ(0, read_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x , Close\r\n\r\n", head, framing));
  EXPECT_FALSE(framing.keep_alive);
}

// Everything that two servers could read differently is refused.
TEST(ParseRequest, RefusesTheSmugglingSet) {
  for (const std::string& wire : {
           with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
           with("Content-Length: 5\r\nContent-Length: 5\r\n"),
           with("Content-Length: 5\r\nContent-Length: 6\r\n"),
           with("Content-Length: 5, 5\r\n"),
           with("Content-Length: +5\r\n"),
           with("Content-Length: -5\r\n"),
           with("Content-Length: 0x5\r\n"),
           with("Content-Length: 5 5\r\n"),
           with("Content-Length: \r\n"),
           with("Content-Length: 99999999999999999999\r\n"),
           with("Transfer-Encoding: identity\r\n"),
           with("Transfer-Encoding: gzip, chunked\r\n"),
           with("Transfer-Encoding: chunked, chunked\r\n"),
           with("Transfer-Encoding: xchunked\r\n"),
           with("Transfer-Encoding: chunked;q=1\r\n"),
           with("Transfer-Encoding: \x0b" "chunked\r\n"),
           with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
           with("Transfer-Encoding : chunked\r\n"),
           with("Content-Length : 5\r\n"),
           with(" Content-Length: 5\r\n"),
           with("X: a\r\n b\r\n"),
           with("X: a\r\n\tb\r\n"),
           with("X: a\rb\r\n"),
           with("X: a\nb: c\r\n"),
           with(std::string("X: a\0b\r\n", 8)),
           with("X: \x7f\r\n"),
           with("no colon\r\n"),
           with(": no name\r\n"),
           with("X(y): z\r\n"),
           with("Host: b\r\n"),
           std::string("GET / HTTP/1.1\r\n\r\n"),
           std::string("GET / HTTP/1.1\nHost: a\n\n"),
           std::string("GET / HTTP/1.1\r\nHost: a\r\n\n"),
           std::string("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
           std::string("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET / HTTP/11\r\nHost: a\r\n\r\n"),
           std::string("GET / http/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET /\r\nHost: a\r\n\r\n"),
           std::string("G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n"),
           std::string("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
           std::string("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
       })
    EXPECT_EQ(400, status_of(wire)) << wire;
}

TEST(ParseRequest, SaysWhichLimitOrFeature) {
  EXPECT_EQ(505, status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(505, status_of("PRI * HTTP/2.0\r\n\r\n"));
  EXPECT_EQ(501, status_of("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(417, status_of(with("Expect: magic\r\n")));
  EXPECT_EQ(414, status_of("GET /" + std::string(limits::kTargetBytes, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n"));
  std::string lines;
  for (size_t i = 0; i < limits::kHeaderLines; ++i) lines += "X: y\r\n";
  EXPECT_EQ(431, status_of(with(lines)));
}

TEST(HeadScanner, GivesTheSameAnswerHoweverBytesArrive) {
  const std::string wire = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest";
  for (size_t step = 1; step < wire.size(); ++step) {
    HeadScanner scanner;
    auto state = HeadScanner::State::More;
    for (size_t n = step; state == HeadScanner::State::More && n < wire.size() + step; n += step) state = scanner.scan(wire.substr(0, n));
    ASSERT_EQ(HeadScanner::State::Done, state) << step;
    EXPECT_EQ(wire.size() - 4, scanner.size());
  }
}

TEST(ParseResponse, ReadsStatusAndFraming) {
  ResponseHead head;
  Framing framing;
  ASSERT_FALSE(parse_response_head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, head, framing));
  EXPECT_EQ(200, head.status);
  EXPECT_EQ(BodyKind::Length, framing.body);
  ASSERT_FALSE(parse_response_head("HTTP/1.1 204\r\n\r\n", false, head, framing));
  EXPECT_EQ(BodyKind::None, framing.body);
  ASSERT_FALSE(parse_response_head("HTTP/1.1 200 OK\r\n\r\n", false, head, framing));
  EXPECT_EQ(BodyKind::UntilClose, framing.body);
  EXPECT_FALSE(framing.keep_alive);
  ASSERT_FALSE(parse_response_head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, head, framing));
  EXPECT_EQ(BodyKind::None, framing.body);
  for (const char* bad : {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1  200\r\n\r\n", "hello\r\n\r\n", "\r\n"})
    EXPECT_TRUE(parse_response_head(bad, false, head, framing)) << bad;
}

struct Decoded {
  ChunkDecoder::State state;
  std::string body;
  size_t used;
};
Decoded decode(const std::string& wire, size_t step, size_t max = 1 << 20) {
  ChunkDecoder decoder;
  Decoded out{ChunkDecoder::State::More, "", 0};
  for (size_t at = 0; at < wire.size() && out.state == ChunkDecoder::State::More;) {
    size_t used = 0;
    const std::string_view part = std::string_view(wire).substr(at, step);
    out.state = decoder.feed(part, max, out.body, used);
    at += used;
    out.used = at;
  }
  return out;
}

TEST(ChunkDecoder, DecodesInPiecesOfAnySize) {
  const std::string wire = "5\r\nhello\r\n1;ext=\"v\"\r\n \r\n00005\r\nworld\r\n0\r\nTrailer: x\r\n\r\nNEXT";
  for (size_t step = 1; step <= wire.size(); ++step) {
    const Decoded d = decode(wire, step);
    ASSERT_EQ(ChunkDecoder::State::Done, d.state) << step;
    EXPECT_EQ("hello world", d.body);
    EXPECT_EQ(wire.size() - 4, d.used) << "bytes of the next message must stay";
  }
}

TEST(ChunkDecoder, RefusesWhatIsNoChunk) {
  for (const std::string& wire : {std::string("\r\n"), std::string("x\r\n"), std::string("-1\r\n"), std::string("0x5\r\nhello\r\n"), std::string("5\nhello\r\n"),
                                  std::string("5\r\nhelloX\r\n"), std::string("5\r\nhello\n"), std::string("5 \r\nhello\r\n"), std::string(" 5\r\nhello\r\n"),
                                  std::string("fffffffffffffffff\r\n"), "5;" + std::string(100, 'a') + "\r\nhello\r\n", std::string("5;a\nb\r\nhello\r\n"),
                                  std::string("0\r\n folded\r\n\r\n"), std::string("0\r\nX: \x01\r\n\r\n"), "0\r\nX: " + std::string(5000, 'a') + "\r\n\r\n"})
    EXPECT_EQ(ChunkDecoder::State::Bad, decode(wire, 7).state) << wire.substr(0, 40);
}

TEST(ChunkDecoder, StopsAtTheLimitBeforeReadingTheChunk) {
  EXPECT_EQ(ChunkDecoder::State::TooLarge, decode("7fffffffffffff\r\n", 100, 10).state);
  EXPECT_EQ(ChunkDecoder::State::TooLarge, decode("6\r\nhello!\r\n5\r\nworld\r\n0\r\n\r\n", 3, 10).state);
  EXPECT_EQ(ChunkDecoder::State::Done, decode("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", 3, 10).state);
}

TEST(ParseRequest, SurvivesMutations) {
  const std::string base = "POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  Random random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string wire = base;
    for (int edits = 1 + static_cast<int>(random.below(4)); edits > 0; --edits) {
      const size_t at = random.below(wire.size());
      if (random.chance(0.3)) wire.erase(at, 1 + random.below(8));
      else if (random.chance(0.5)) wire[at] = static_cast<char>(random.next());
      else wire.insert(at, 1, static_cast<char>(random.next()));
      if (wire.empty()) break;
    }
    RequestHead head;
    Framing framing;
    if (read_request(wire, head, framing) == 0) {
      // What is accepted has one framing only.
      EXPECT_FALSE(has_header(head.headers, "content-length") && has_header(head.headers, "transfer-encoding")) << wire;
      EXPECT_TRUE(is_token(head.method));
    }
  }
}

TEST(Percent, EncodesAndDecodes) {
  EXPECT_EQ("@cf/a b", percent_decode("%40cf%2Fa%20b"));
  EXPECT_FALSE(percent_decode("%"));
  EXPECT_FALSE(percent_decode("%4"));
  EXPECT_FALSE(percent_decode("%gg"));
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(all, percent_decode(percent_encode(all)));
  EXPECT_EQ("a/b%20c", percent_encode("a/b c", "/"));
}

// The target's host is the request's, whatever the header says; who hides another one in front of an @ is refused.
TEST(ParseRequest, AWholeAddressNamesTheHost) {
  RequestHead head;
  Framing framing;
  EXPECT_EQ(read_request("GET http://rebound.example:1/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", head, framing), 0);
  EXPECT_EQ(head.header("host"), "rebound.example:1");
  EXPECT_EQ(head.path, "/v1/models");
  EXPECT_EQ(read_request("GET HTTPS://localhost HTTP/1.0\r\n\r\n", head, framing), 0);
  EXPECT_EQ(head.header("host"), "localhost");
  EXPECT_EQ(status_of("GET http://localhost@rebound.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400);
}

}  // namespace
}  // namespace verge::http
