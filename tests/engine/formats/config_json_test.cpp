#include "engine/formats/config_json.h"

#include <gtest/gtest.h>

namespace verge::engine {
namespace {

json::value parsed(std::string_view text) {
  auto value = parse_config_json(text);
  EXPECT_TRUE(value.ok()) << text << ": " << (value.ok() ? "" : value.error().message);
  return value.ok() ? *value : json::value();
}

TEST(ConfigJson, PythonsNumbersAreRead) {
  EXPECT_TRUE(parsed("NaN").is_null());
  const json::value all =
      parsed(R"({"a": [NaN, -Infinity,Infinity], "b": -1, "NaN": "-Infinity \" NaN", "c": "\\"})");
  EXPECT_TRUE(all.at("a").at(0).is_null());
  EXPECT_EQ(all.at("a").at(1).as_double(), -1.7976931348623157e308);
  EXPECT_EQ(all.at("a").at(2).as_double(), 1.7976931348623157e308);
  EXPECT_EQ(all.at("b").as_int64(), -1);
  EXPECT_EQ(all.at("NaN").as_string(), "-Infinity \" NaN");
  EXPECT_FALSE(get_number(
      all.at("a").is_array() ? parsed(R"({"x":NaN})").as_object() : json::object(), "x"));
}

TEST(ConfigJson, AByteOrderMarkIsNoText) {
  EXPECT_EQ(parsed("\xEF\xBB\xBF{\"a\": 1}").at("a").as_int64(), 1);
  EXPECT_EQ(parsed("\xEF\xBB\xBF{\"a\": NaN}").at("a"), nullptr);
}

TEST(ConfigJson, WhatPythonRefusesIsRefused) {
  for (std::string_view text : {"{", "nan", "{\"a\": NaNx}", "{\"a\": --Infinity}",
                                "{\"a\": Infinit}", "[N]", "\xEF\xBB", "{\"a\": +Infinity}"}) {
    EXPECT_FALSE(parse_config_json(text).ok()) << text;
  }
}

TEST(ConfigJson, TokenIds) {
  EXPECT_EQ(token_id(2), 2);
  EXPECT_EQ(token_id(2.0), 2);
  EXPECT_EQ(token_id("128001"), 128001);
  for (const json::value& none :
       {json::value(nullptr), json::value(2.5), json::value("two"), json::value(""),
        json::value(true), json::value(json::array{2})}) {
    EXPECT_EQ(token_id(none), -1) << json::serialize(none);
  }
}

}  // namespace
}  // namespace verge::engine
