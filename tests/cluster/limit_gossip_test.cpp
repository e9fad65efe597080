#include "cluster/limit_gossip.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "lossy_bus.h"
#include "support/clock.h"

namespace verge::cluster {
namespace {

using accounts::SharedCounts;

TEST(LimitMessages, WhatIsWrongIsLeftOut) {
  const LimitMessage said{7, true, {{"acc", {2, {{"text-generation", 17}}}}}};
  const std::string good = encode(said).front();
  auto read = decode_limits(good);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->told, said.told);
  EXPECT_EQ(read->boot, 7);
  EXPECT_TRUE(read->leaving);
  for (const auto& [from, to] : {std::pair{"17", "-17"}, {"17", "1e99"}, {"\"acc\"", "\"a.c\""}, {"\"v\":1", "\"v\":2"}, {"under_way", "under"}, {"in_minute", "in_hour"}, {"counts", "count"}}) {
    std::string bad = good;
    bad.replace(bad.find(from), std::string_view(from).size(), to);
    EXPECT_FALSE(decode_limits(bad)) << bad;
  }
  SharedCounts::Told many;
  for (int i = 0; i < 2'500; ++i) many[std::to_string(i)].under_way = 1;
  EXPECT_EQ(encode({1, false, many}).size(), 3u);
  EXPECT_EQ(encode({1, false, {}}).size(), 1u) << "a sign of life";
}

TEST(LimitGossip, CountsAreHeardAndAGoodByeToo) {
  boost::asio::io_context io{1};
  testing::Wire wire(io, 3);
  testing::LossyBus a(wire, "a"), b(wire, "b");
  SharedCounts at_a(1), at_b(1);
  int64_t known = 0;
  const auto first = LimitGossip::make(io.get_executor(), a, at_a, {"a", [] { return SharedCounts::Told{{"acc", {3, {}}}}; }, [](int64_t) {}});
  const auto second = LimitGossip::make(io.get_executor(), b, at_b, {"b", [] { return SharedCounts::Told(); }, [&](int64_t count) { known = count; }});
  const auto until = [&](const std::function<bool()>& done) {
    for (int i = 0; i < 5'000 && !done(); ++i) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(10));
    }
    return done();
  };
  EXPECT_TRUE(until([&] { return at_b.under_way("acc", 10, monotonic_ms()).count == 3; }));
  EXPECT_TRUE(until([&] { return known == 2; })) << "to be remembered";
  first->stop();
  EXPECT_TRUE(until([&] { return at_b.gateways(monotonic_ms()) == 1; }));
  EXPECT_EQ(at_b.under_way("acc", 10, monotonic_ms()).count, 0);
  second->stop();
  io.restart();
  io.poll();
}

}  // namespace
}  // namespace verge::cluster
