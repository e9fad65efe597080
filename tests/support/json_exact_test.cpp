#include <gtest/gtest.h>

#include <cstring>

#include "support/json.h"
#include "support/random.h"

namespace verge {
namespace {

TEST(ParseJson, EveryDoubleComesBackAsItWas) {
  Random random(11);
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t bits = random.next();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    const std::string text = json::serialize(json::array{value});
    const auto parsed = parse_json(text);
    ASSERT_TRUE(parsed) << text;
    ASSERT_EQ(value, parsed->as_array()[0].to_number<double>()) << text;
  }
  EXPECT_EQ(0.1 + 0.2, parse_json("0.30000000000000004")->get_double());
}

TEST(ParseJson, KeepsKindsOrderAndText) {
  const std::string text = "{\"b\":1,\"a\":[true,false,null,-9223372036854775808,18446744073709551615,1.5],\"c\":{\"\\u00e9\":\"\\ud83d\\ude00\\n\"}}";
  const auto parsed = parse_json(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ("{\"b\":1,\"a\":[true,false,null,-9223372036854775808,18446744073709551615,1.5E0],\"c\":{\"é\":\"😀\\n\"}}", json::serialize(*parsed));
}

TEST(ParseJson, RefusesWhatIsNoDocument) {
  for (const char* bad : {"", " ", "{", "[1,]", "{\"a\":1,}", "01", "1.", "\"\xff\"", "nul", "1 2", "{} x", "\"a\nb\"", "'a'", "// c\n1", "NaN", "[1}"})
    EXPECT_FALSE(parse_json(bad)) << bad;
  EXPECT_TRUE(parse_json(" [1] \n"));
  EXPECT_TRUE(parse_json(std::string(10, '[') + std::string(10, ']'), 10));
  EXPECT_FALSE(parse_json(std::string(11, '[') + std::string(11, ']'), 10));
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')));
}

}  // namespace
}  // namespace verge
