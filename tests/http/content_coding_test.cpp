#include "http/content_coding.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "tests/deflated.h"

namespace verge::http {
namespace {

using testing::deflated;
using testing::gzip;

const std::string kText = R"({"prompt":"hi","max_tokens":2})";

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}
// Node's zlib.brotliCompressSync of kText, and of 64 MiB of zero bytes.
const std::string kBrotli = from_hex("8b0e807b2270726f6d7074223a226869222c226d61785f746f6b656e73223a327d03");
const std::string kBrotliBomb = from_hex(
    "cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefd1fffffffe09f0088c30200ddfb3ffeffffc13f0110870500baf77ffcffff837f02200e0b0074effff8ffff07ff04401c"
    "1600e8defff1ffff0ffe0980382c00d0bdffcbffff3ffc1300715800a07bff07");

struct Unpacked {
  BodyUnpacker::State state;
  std::string body;
};
Unpacked unpacked(const std::string& list, std::string body, size_t most = 10 << 20) {
  auto codings = parse_codings(list);
  EXPECT_TRUE(codings) << list;
  BodyUnpacker unpacker(*codings, std::move(body), most);
  while (true) {
    const auto state = unpacker.step();
    EXPECT_LE(unpacker.held_bytes(), most + (17 << 20));
    if (state == BodyUnpacker::State::Done) return {state, unpacker.take()};
    if (state != BodyUnpacker::State::More) return {state, ""};
  }
}

TEST(ContentCoding, UndoesEach) {
  for (const auto& [list, body] : {std::pair{"gzip", gzip(kText)}, std::pair{"X-GZip", gzip(kText)}, std::pair{"deflate", deflated(kText, 15)},
                                   std::pair{"deflate", deflated(kText, -15)}, std::pair{"br", kBrotli}, std::pair{"zstd", zstd(kText)},
                                   std::pair{"identity", kText}, std::pair{"", kText}})
    EXPECT_EQ(unpacked(list, body).body, kText) << list;
}

TEST(ContentCoding, UndoesSeveralAndSeveralMembers) {
  EXPECT_EQ(unpacked("gzip, identity , zstd", zstd(gzip(kText))).body, kText);
  EXPECT_EQ(unpacked("br,gzip", gzip(kBrotli)).body, kText);
  EXPECT_EQ(unpacked("gzip", gzip(kText) + gzip(kText)).body, kText + kText);
  EXPECT_EQ(unpacked("zstd", zstd(kText) + zstd(kText)).body, kText + kText);
  const std::string large(3 << 20, 'x');
  std::string random;
  for (uint32_t i = 0, x = 1; i < 1 << 20; ++i) random += static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  EXPECT_TRUE(unpacked("gzip,zstd", zstd(gzip(random + large))).body == random + large);
}

TEST(ContentCoding, NamesWhatIsUnknown) {
  for (const char* list : {"compress", "gzip, lzma", "gzip;q=1", "aws-chunked", "gzip gzip"}) {
    auto codings = parse_codings(list);
    ASSERT_FALSE(codings) << list;
    EXPECT_NE(codings.error().message.find("gzip, deflate, br, zstd"), std::string::npos);
  }
  EXPECT_FALSE(parse_codings("gzip,gzip,gzip,gzip,gzip"));
}

TEST(ContentCoding, DamagedIsNotHalfATruth) {
  for (const auto& [list, body] : {std::pair{"gzip", gzip(kText)}, std::pair{"deflate", deflated(kText, 15)}, std::pair{"deflate", deflated(kText, -15)},
                                   std::pair{"br", kBrotli}, std::pair{"zstd", zstd(kText)}}) {
    EXPECT_EQ(unpacked(list, body.substr(0, body.size() - 1)).state, BodyUnpacker::State::Damaged) << list << ", cut";
    EXPECT_EQ(unpacked(list, body + "more").state, BodyUnpacker::State::Damaged) << list << ", more";
    EXPECT_EQ(unpacked(list, kText).state, BodyUnpacker::State::Damaged) << list << ", plain";
    EXPECT_EQ(unpacked(list, "").state, BodyUnpacker::State::Damaged) << list << ", nothing";
  }
}

TEST(ContentCoding, BombsEndEarly) {
  const std::string zeros(32 << 20, '\0');
  EXPECT_EQ(unpacked("br", kBrotliBomb, 100 << 20).state, BodyUnpacker::State::Damaged);
  EXPECT_EQ(unpacked("gzip", gzip(zeros), 100 << 20).state, BodyUnpacker::State::Damaged);
  EXPECT_EQ(unpacked("gzip,gzip", gzip(gzip(zeros)), 100 << 20).state, BodyUnpacker::State::Damaged);
  EXPECT_EQ(unpacked("zstd", zstd(zeros), 100 << 20).state, BodyUnpacker::State::Damaged);
  std::string dull;
  while (dull.size() < 2 << 20) dull += "0,0,255," + std::to_string(dull.size() * 7919 % 256) + ",";
  EXPECT_EQ(unpacked("gzip", gzip(dull), 1 << 20).state, BodyUnpacker::State::TooLarge);
  EXPECT_TRUE(unpacked("gzip", gzip(dull)).body == dull);
}

}  // namespace
}  // namespace verge::http
