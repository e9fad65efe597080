#include "api/errors.h"

#include <gtest/gtest.h>

#include "api/routes.h"
#include "support/utf8.h"

namespace verge::api {
namespace {

TEST(Errors, EveryCodeHasAnAnswerInEveryShape) {
  for (int i = 0; i <= static_cast<int>(Code::Internal); ++i) {
    Error error{static_cast<Code>(i), "why"};
    for (Shape shape : {Shape::Rest, Shape::Binding, Shape::OpenAi}) {
      Published published = publish(error, "id-1");
      EXPECT_GE(published.status, 400);
      EXPECT_LT(published.status, 600);
      EXPECT_GE(published.code, 3000);
      EXPECT_FALSE(published.message.empty());
      json::object body = error_body(published, shape, "id-1");
      EXPECT_EQ(body.at("errors").at(0).at("code"), published.code);
      EXPECT_EQ(body.at("success"), false);
      EXPECT_EQ(body.contains("error"), shape == Shape::OpenAi);
      EXPECT_EQ(get_int(body, "internalCode"), shape == Shape::Binding ? std::optional<int64_t>(published.code) : std::nullopt);
    }
  }
}

TEST(Errors, RetryableOnesSayWhen) {
  Error busy{Code::Busy, ""};
  busy.retry_after_ms = 1200;
  EXPECT_EQ(http::find_header(error_headers(busy), "retry-after"), "2");
  EXPECT_TRUE(error_headers(Error{Code::InvalidInput, ""}).empty());
}

TEST(Errors, NamesTheFirstParameterQuoted) {
  EXPECT_EQ(publish(Error{Code::InvalidInput, "oneOf at '/' not met, 0 matches: '/messages/0/role' x"}, "").param,
            "messages.0.role");
  EXPECT_EQ(publish(Error{Code::InvalidInput, "it's '/"}, "").param, "");
  EXPECT_EQ(publish(Error{Code::Busy, "'/a'"}, "").param, "");
}

TEST(Errors, IdsOfUnknownModelsAreShortAndPlain) {
  Error error = no_such_model(std::string(1000, 'x') + "\r\n");
  EXPECT_LT(error.message.size(), 200u);
  EXPECT_EQ(no_such_model("a\r\nb\xff").message, "No such model a??b? or task");
}

TEST(Errors, OfTheServerCarryBothShapes) {
  json::value body = json::parse(server_error_body(413, "too \"large\""));
  EXPECT_EQ(body.at("errors").at(0).at("code"), 3006);
  EXPECT_EQ(body.at("error").at("message"), "too \"large\"");
}

TEST(Routes, Patterns) {
  std::map<std::string, std::string, std::less<>> values;
  EXPECT_TRUE(match_pattern("/a/{x}/b/{rest...}", "/a/1/b/c/d/e", &values));
  EXPECT_EQ(values["x"], "1");
  EXPECT_EQ(values["rest"], "c/d/e");
  for (const char* path : {"/a", "/a/", "/a/1/b", "/a/1/b/", "/a//b/c", "a/1/b/c", "", "/", "/b/1/b/c"})
    EXPECT_FALSE(match_pattern("/a/{x}/b/{rest...}", path, nullptr)) << path;
  EXPECT_TRUE(match_pattern("/run", "/run", nullptr));
  for (const char* path : {"/run/", "/runx", "/run/x", "/"}) EXPECT_FALSE(match_pattern("/run", path, nullptr)) << path;
}

TEST(Routes, AreDistinct) {
  for (const Route& a : routes())
    for (const Route& b : routes()) EXPECT_TRUE(&a == &b || a.method != b.method || a.pattern != b.pattern);
}

TEST(Utf8, KeepsWhatIsValidAndReplacesTheRest) {
  for (const char* good : {"", "abc", "é", "€", "😀", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"}) EXPECT_EQ(lossy_utf8(good), good);
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(lossy_utf8("\xC0\x80"), r + r);
  EXPECT_EQ(lossy_utf8("\xED\xA0\x80"), r + r + r);
  EXPECT_EQ(lossy_utf8("\xF4\x90\x80\x80"), r + r + r + r);
  EXPECT_EQ(lossy_utf8("a\xE2\x82"), "a" + r + r);
  EXPECT_EQ(lossy_utf8(std::string_view("\0", 1)), std::string(1, '\0'));
}

}  // namespace
}  // namespace verge::api
