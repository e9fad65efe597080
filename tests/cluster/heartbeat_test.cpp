#include "cluster/heartbeat.h"

#include <gtest/gtest.h>

#include "support/limits.h"
#include "support/random.h"

namespace verge::cluster {
namespace {

Heartbeat example() {
  Heartbeat out;
  out.name = "eu-1";
  out.region = "eu";
  out.address = "10.0.0.1:8790";
  out.software = "0.1.0";
  out.boot = 1'700'000'000'000'123;
  out.sequence = 42;
  out.memory_free_bytes = int64_t{5} << 30;
  protocol::ModelReport model;
  model.id = "@cf/meta/llama-3.2-1b-instruct";
  model.task = "text-generation";
  model.loaded = true;
  model.suspect = true;
  model.queued = 3;
  model.running = 7;
  model.queued_tokens = 4096;
  model.prefill_tokens_per_s = 812.5;
  model.kv_free_tokens = 10'000;
  model.build = "0123456789abcdef";
  out.models.push_back(model);
  return out;
}

TEST(Heartbeat, GoesThereAndBack) {
  auto read = decode_heartbeat(encode_heartbeat(example()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(encode_heartbeat(*read), encode_heartbeat(example()));
  EXPECT_EQ(read->models[0].prefill_tokens_per_s, 812.5);
  EXPECT_TRUE(read->models[0].suspect);
  EXPECT_EQ(heartbeat_subject(*read), "verge.node.eu.eu-1.hb");
}

TEST(Heartbeat, CoordinatesAreThoseOfTheEarthOrNone) {
  Heartbeat placed = example();
  placed.latitude = 52.52;
  placed.longitude = -13.4;
  json::object object = to_json(placed);
  auto read = decode_heartbeat(json::serialize(object));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->latitude, 52.52);
  EXPECT_EQ(read->longitude, -13.4);
  for (const json::value& wrong : {json::value{91, 0}, json::value{0, -181}, json::value{1}, json::value{"north", 2}, json::value("here"), json::value(nullptr)}) {
    object["coordinates"] = wrong;
    read = decode_heartbeat(json::serialize(object));
    ASSERT_TRUE(read);
    EXPECT_TRUE(std::isnan(read->latitude) && std::isnan(read->longitude)) << json::serialize(wrong);
  }
}

TEST(Heartbeat, UnknownKeysAreSkippedAndNewerVersionsNamed) {
  json::object object = to_json(example());
  object["temperature"] = 40;
  EXPECT_TRUE(decode_heartbeat(json::serialize(object)));
  object["v"] = 2;
  auto newer = decode_heartbeat(json::serialize(object));
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, Code::UnsupportedParameter);
  EXPECT_NE(newer.error().message.find("eu-1"), std::string::npos);
}

TEST(Heartbeat, NumbersOutOfReasonAreBounded) {
  json::object object = to_json(example());
  object["models"].as_array()[0].as_object()["queued"] = -5;
  object["models"].as_array()[0].as_object()["slots"] = 0;
  object["models"].as_array()[0].as_object()["queued_tokens"] = INT64_MAX;
  auto read = decode_heartbeat(json::serialize(object));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->models[0].queued, 0);
  EXPECT_EQ(read->models[0].slots, 1);
  EXPECT_LT(read->models[0].queued_tokens, int64_t{1} << 41);
}

TEST(Heartbeat, NonsenseIsRefused) {
  for (const char* text : {"", "[]", "{}", "null", "{\"v\":1}", "{\"v\":1,\"name\":\"a.b\",\"region\":\"eu\",\"address\":\"x:1\"}", "{\"v\":1,\"name\":\"a\",\"region\":\"\",\"address\":\"x:1\"}",
                           "{\"v\":1,\"name\":\"a\",\"region\":\"eu\"}", "{\"v\":0,\"name\":\"a\",\"region\":\"eu\",\"address\":\"x:1\"}"})
    EXPECT_FALSE(decode_heartbeat(text)) << text;
  EXPECT_FALSE(decode_heartbeat(std::string(limits::kHeartbeatBytes + 1, ' ')));
  json::object many = to_json(example());
  for (size_t i = 0; i <= limits::kNodeModels; ++i) many["models"].as_array().push_back(json::object{{"id", "@a/b"}});
  EXPECT_FALSE(decode_heartbeat(json::serialize(many)));
}

TEST(Heartbeat, DamagedMessagesNeverCrash) {
  const std::string good = encode_heartbeat(example());
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    Random random(seed);
    std::string bad = good;
    for (uint64_t n = 1 + random.below(4); n > 0; --n) bad[random.below(bad.size())] = static_cast<char>(random.below(256));
    (void)decode_heartbeat(bad.substr(0, random.chance(0.3) ? random.below(bad.size()) : bad.size()));
  }
}

TEST(Heartbeat, NamesAreLabels) {
  EXPECT_TRUE(valid_name("eu-1"));
  EXPECT_TRUE(valid_name(std::string(63, 'a')));
  for (const char* bad : {"", "-a", "a-", "A", "a.b", "a*", "a>", "a b", "ä"}) EXPECT_FALSE(valid_name(bad)) << bad;
  EXPECT_FALSE(valid_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace verge::cluster
