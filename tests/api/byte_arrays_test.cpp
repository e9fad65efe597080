#include "api/byte_arrays.h"

#include <gtest/gtest.h>

#include "support/json.h"
#include "support/random.h"

namespace verge::api {
namespace {

std::string some_bytes(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes.push_back(static_cast<char>(random_at(7, i)));
  return bytes;
}

std::string as_array(std::string_view bytes, const char* separator) {
  std::string text = "[";
  for (size_t i = 0; i < bytes.size(); ++i) text += (i ? separator : "") + std::to_string(static_cast<uint8_t>(bytes[i]));
  return text + "]";
}

std::string as_object(std::string_view bytes) {
  std::string text = "{";
  for (size_t i = 0; i < bytes.size(); ++i)
    text += (i ? ",\"" : "\"") + std::to_string(i) + "\":" + std::to_string(static_cast<uint8_t>(bytes[i]));
  return text + "}";
}

TEST(ByteArrays, EveryLengthAndSpacing) {
  for (size_t count : {0, 1, 2, 3, 5, 8, 31, 4096, 4097, 100'000}) {
    const std::string bytes = some_bytes(count);
    for (const char* separator : {",", ", ", " ,\n  "}) {
      auto lifted = lift_byte_arrays(R"({"image":)" + as_array(bytes, separator) + R"(,"top":1})");
      ASSERT_TRUE(lifted) << lifted.error().message;
      ASSERT_EQ(lifted->arrays.size(), 1u);
      EXPECT_EQ(lifted->arrays[0].key, "image");
      EXPECT_EQ(lifted->arrays[0].bytes, bytes);
      EXPECT_EQ(lifted->json, R"({"image":[],"top":1})");
    }
  }
}

TEST(ByteArrays, EveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(lift_byte_arrays(R"({"audio":)" + as_array(all, ",") + "}")->arrays[0].bytes, all);
  EXPECT_EQ(lift_byte_arrays(R"({"audio":)" + as_object(all) + "}")->arrays[0].bytes, all);
}

TEST(ByteArrays, BuffersOfNode) {
  for (const char* body : {R"({"image":{"type":"Buffer","data":[1,22,255]}})", R"({ "image" : { "data" : [ 1, 22, 255 ] , "type" : "Buffer" } })"}) {
    const auto lifted = lift_byte_arrays(body);
    ASSERT_TRUE(lifted) << lifted.error().message;
    ASSERT_EQ(lifted->arrays.size(), 1u) << body;
    EXPECT_EQ(lifted->arrays[0].bytes, "\x01\x16\xff");
    EXPECT_TRUE(parse_json(lifted->json)) << lifted->json;
  }
  EXPECT_EQ(lift_byte_arrays(R"({"inputs":{"audio":{"type":"Buffer","data":[]}}})")->arrays.size(), 1u);
  for (const char* other : {R"({"image":{"type":"Blob","data":[1]}})", R"({"image":{"type":"Buffer"}})", R"({"image":{"type":"Buffer","data":"AA=="}})",
                            R"({"image":{"type":"Buffer","data":[1],"x":2}})", R"({"image":{"data":[1]}})", R"({"image":{}})", R"({"image":{"type":"Buffer","da)"}) {
    const auto lifted = lift_byte_arrays(other);
    ASSERT_TRUE(lifted) << other;
    EXPECT_TRUE(lifted->arrays.empty()) << other;
    EXPECT_EQ(lifted->json, other);
  }
  EXPECT_FALSE(lift_byte_arrays(R"({"image":{"type":"Buffer","data":[256]}})"));
}

TEST(ByteArrays, InsideInputsAndBesideStrings) {
  auto lifted = lift_byte_arrays(R"({"options":{"image":[1]},"inputs":{"prompt":"a \"[{ \\","image":[1,22,255],"audio":{"0":7}}})");
  ASSERT_TRUE(lifted);
  EXPECT_EQ(lifted->json, R"({"options":{"image":[1]},"inputs":{"prompt":"a \"[{ \\","image":[],"audio":[]}})");
  ASSERT_EQ(lifted->arrays.size(), 2u);
  EXPECT_EQ(lifted->arrays[0].bytes, "\x01\x16\xff");
  EXPECT_EQ(lifted->arrays[1].bytes, "\x07");
}

TEST(ByteArrays, LeavesOtherValues) {
  for (const char* body : {R"({"image":"aGk="})", R"({"image":{"url":"x"}})", R"({"image":["a","b"]})", R"({"image":null,"n":[1,2]})", R"([1,2,3])", "", "{",
                           R"({"image")", R"({"image":)", R"({"image":"x)", R"({"prompt":"\)", R"({"inputs":[1,2]})", R"({"a":[1,{"image":[1]}]})"}) {
    auto lifted = lift_byte_arrays(body);
    ASSERT_TRUE(lifted) << body;
    EXPECT_EQ(lifted->json, body);
    EXPECT_TRUE(lifted->arrays.empty()) << body;
  }
}

TEST(ByteArrays, RefusesWhatIsNoByte) {
  for (const char* element : {"256", "1000", "-1", "1.5", "1e2", "01", "00", "x", "\"1\"", "null", "", "99999999999"}) {
    for (const char* tail : {"]}", ",1,2,3,4,5,6,7,8]}"}) {
      auto lifted = lift_byte_arrays(std::string(R"({"image":[10,)") + element + tail);
      ASSERT_FALSE(lifted) << element << tail;
      EXPECT_EQ(lifted.error().code, Code::InvalidInput);
      EXPECT_NE(lifted.error().message.find("'/image'"), std::string::npos);
    }
  }
  EXPECT_FALSE(lift_byte_arrays(R"({"image":{"0":1,"2":2}})"));
  EXPECT_FALSE(lift_byte_arrays(R"({"image":[1,2)"));
}

// Any text: what is lifted is what a JSON parser reads, and what it would not read as bytes is refused.
TEST(ByteArrays, AgreesWithTheParserOnDamagedText) {
  const std::string_view alphabet = "0123456789,, .-]e[\"x";
  for (uint64_t round = 0; round < 20'000; ++round) {
    std::string array = as_array(some_bytes(60 + random_at(round, 0) % 40), round % 2 ? "," : ", ");
    for (uint64_t i = 0; i <= random_at(round, 1) % 2; ++i)
      array[1 + random_at(round, 2 + i) % (array.size() - 1)] = alphabet[random_at(round, 4 + i) % alphabet.size()];
    const std::string body = R"({"image":)" + array + "}";
    const auto lifted = lift_byte_arrays(body);
    const auto parsed = parse_json(body);
    std::string bytes;
    bool all_bytes = bool(parsed) && parsed->at("image").is_array() && array.find('-') == array.npos;  // -0 is no byte
    for (size_t i = 0; all_bytes && i < parsed->at("image").as_array().size(); ++i) {
      const json::value& value = parsed->at("image").as_array()[i];
      all_bytes = value.is_int64() && value.as_int64() >= 0 && value.as_int64() < 256;
      if (all_bytes) bytes.push_back(static_cast<char>(value.as_int64()));
    }
    if (all_bytes) {
      ASSERT_TRUE(lifted) << body;
      ASSERT_EQ(lifted->arrays.at(0).bytes, bytes) << body;
    } else if (lifted && !lifted->arrays.empty()) {
      EXPECT_FALSE(parse_json(lifted->json)) << body;  // the damage lies behind the array
    }
  }
}

}  // namespace
}  // namespace verge::api
