#include "api/origins.h"

#include <gtest/gtest.h>

namespace verge::api {
namespace {

bool fits(std::string_view pattern, std::string_view origin) {
  const auto parsed = parse_origin_pattern(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && allows_origin({*parsed}, origin);
}

TEST(Origins, PatternsFitAsTheirWriterMeansThem) {
  for (const char* pattern : {"https://app.example", "HTTPS://App.Example", "https://app.example/", "https://app.example:443", "https://*.example",
                              "https://app.example:*", "https://*", "*"})
    EXPECT_TRUE(fits(pattern, "https://app.example")) << pattern;
  for (const char* pattern : {"http://app.example", "https://example", "https://*.app.example", "https://app.example:8443", "null"})
    EXPECT_FALSE(fits(pattern, "https://app.example")) << pattern;
  EXPECT_TRUE(fits("https://*.example", "https://a.b.example"));
  EXPECT_FALSE(fits("https://*.example", "https://example"));
  EXPECT_FALSE(fits("https://*.example", "https://badexample"));
  EXPECT_FALSE(fits("https://app.example", "https://app.example.evil.com"));
  EXPECT_TRUE(fits("http://192.168.1.5:3000", "http://192.168.1.5:3000"));
  EXPECT_TRUE(fits("http://[fd00::1]:*", "http://[fd00::1]:3000"));
  EXPECT_TRUE(fits("vscode-webview://*", "vscode-webview://0a1b2c"));
  EXPECT_TRUE(fits("app://obsidian.md", "app://obsidian.md"));
  EXPECT_TRUE(fits("null", "null"));
  EXPECT_FALSE(allows_origin({}, "https://app.example"));
}

TEST(Origins, WhatWouldNeverFitIsAnError) {
  for (const char* pattern : {"", "app.example", "localhost:3000", "https://", "https://app.example/path", "https://app.example?x", "https://a.*.example",
                              "https://app*.example", "https://*.", "https://app.example:port", "https://a.example,https://b.example", "https://user@app.example",
                              "://app.example"})
    EXPECT_FALSE(parse_origin_pattern(pattern)) << pattern;
}

}  // namespace
}  // namespace verge::api
