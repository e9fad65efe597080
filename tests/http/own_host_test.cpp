#include "http/own_host.h"

#include <gtest/gtest.h>

namespace verge::http {
namespace {

RequestHead head(std::string host, std::string local = "127.0.0.1") {
  RequestHead out;
  out.headers.push_back({"Host", std::move(host)});
  out.local = std::move(local);
  return out;
}

TEST(OwnHost, NamesOfThisMachine) {
  for (const char* host : {"localhost", "LOCALHOST", "localhost.", "localhost:8780", "Localhost.:1", "localhost:", "shop.localhost", "a.b.localhost:8780", "127.0.0.1",
                           "127.0.0.1:8780", "127.8.9.10", "[::1]", "[::1]:8780", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"})
    EXPECT_TRUE(names_own_host(head(host), {})) << host;
  EXPECT_TRUE(names_own_host(RequestHead(), {})) << "HTTP/1.0 without a Host";
}

TEST(OwnHost, NamesOfOthers) {
  for (const char* host : {"rebound.example", "rebound.example:8780", "localhost.rebound.example", "127.0.0.1.rebound.example", "xlocalhost", ".localhost", "localhost..",
                           "evil.example@localhost", "localhost@evil.example", "localhost:80@evil.example", "localhost:x", "localhost:1:2", "localhost/", "local host",
                           "", ":8780", "[::1", "[::1]x", "[localhost]", "::1", "10.0.0.7", "[fe80::7]", "0.0.0.0", "1", "127.0.0.1,rebound.example",
                           "workers-binding.ai", "loc\xc3\xa4lhost"})
    EXPECT_FALSE(names_own_host(head(host), {})) << host;
}

TEST(OwnHost, TheAddressOfTheListenerAndNamesThatAreGiven) {
  EXPECT_TRUE(names_own_host(head("10.0.0.7:8780", "10.0.0.7"), {}));
  EXPECT_TRUE(names_own_host(head("10.0.0.7", "::ffff:10.0.0.7"), {}));
  EXPECT_TRUE(names_own_host(head("[FE80::7]", "fe80::7"), {}));
  EXPECT_FALSE(names_own_host(head("10.0.0.8", "10.0.0.7"), {}));
  EXPECT_TRUE(names_own_host(head("10.0.0.8", "10.0.0.7"), {{}, true}));
  EXPECT_FALSE(names_own_host(head("rebound.example", "10.0.0.7"), {{}, true}));
  EXPECT_TRUE(names_own_host(head("Verge.Lan.:8780"), {{"verge.lan"}, false}));
  EXPECT_FALSE(names_own_host(head("x.verge.lan"), {{"verge.lan"}, false}));
  EXPECT_TRUE(names_own_host(head("whatever"), {{"*"}, false}));
}

}  // namespace
}  // namespace verge::http
