#include "support/log.h"

#include <gtest/gtest.h>

#include <string>

#include "support/json.h"

namespace verge::log {
namespace {

std::string line_of(Format format, std::string_view message, std::string_view value) {
  ::testing::internal::CaptureStderr();
  configure(Level::Info, format, "test");
  info(message, {{"field", value}});
  return ::testing::internal::GetCapturedStderr();
}

// What clients may write into a field: nothing of it may begin a line, move a cursor, turn text around or be no UTF-8.
constexpr std::string_view kHostile[] = {
    "a\nlevel=error forged=1", "a\r\x1b[2K\x1b[1A", "\x9b" "31m", "\xc2\x9b" "31m", "\x7f\x08", "\xe2\x80\xae" "gnp.exe", "\xe2\x80\xa8", "\xff\xfe", "\xed\xa0\x80",
    "\xc0\x8a", "\xf4\x90\x80\x80", "\xe2\x82", "tab\there", "a=b c=\"d\"", "back\\slash", std::string_view("nul\0", 4)};

TEST(Log, AFieldStaysOneFieldOfOneLine) {
  for (const std::string_view hostile : kHostile) {
    for (const Format format : {Format::Text, Format::Json}) {
      const std::string line = line_of(format, "said", hostile);
      ASSERT_FALSE(line.empty());
      EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
      for (const char c : line.substr(0, line.size() - 1)) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f) << line;
      EXPECT_EQ(line.find(" forged=1\n"), std::string::npos);
      if (format == Format::Json) {
        const auto parsed = parse_json(line);
        ASSERT_TRUE(parsed) << line;
        EXPECT_TRUE(parsed->at("field").is_string());
      }
    }
  }
}

// A message may have lines (a Worker's stack trace): those after the first are set in, and none is an entry.
TEST(Log, AMessageStaysOneEntry) {
  for (const std::string_view hostile : kHostile) {
    const std::string line = line_of(Format::Text, hostile, "x");
    ASSERT_TRUE(line.ends_with('\n'));
    for (size_t end = line.find('\n'); end + 1 < line.size(); end = line.find('\n', end + 1)) {
      EXPECT_EQ(line.substr(end + 1, 4), "    ") << line;
    }
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
  }
}

TEST(Log, WhatIsHarmlessStaysAsItIs) {
  EXPECT_NE(line_of(Format::Text, "said", "@cf/meta/llama-3.1-8b").find(" field=@cf/meta/llama-3.1-8b\n"), std::string::npos);
  EXPECT_NE(line_of(Format::Text, "said", "Grüße, 世界").find("Grüße, 世界"), std::string::npos);
  EXPECT_EQ(parse_json(line_of(Format::Json, "said", "Grüße \\ \"世界\""))->at("field"), "Grüße \\ \"世界\"");
}

}  // namespace
}  // namespace verge::log
