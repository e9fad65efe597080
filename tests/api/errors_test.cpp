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
      Published published = publish(error, shape, "id-1");
      EXPECT_GE(published.status, 400);
      EXPECT_LT(published.status, 600);
      EXPECT_GE(published.code, 3000);
      EXPECT_FALSE(published.message.empty());
      EXPECT_EQ(published.message.find("AiError: AiError:"), std::string::npos);
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

TEST(Errors, NameTheParameterThatTheyPointTo) {
  EXPECT_EQ(publish(fail_at(Code::InvalidInput, "/messages/0/role", "x"), Shape::Rest, "").param, "messages.0.role");
  EXPECT_EQ(publish(fail_at(Code::InvalidInput, "/", "x"), Shape::Rest, "").param, "");
  EXPECT_EQ(publish(fail_at(Code::Busy, "/a", "x"), Shape::Rest, "").param, "");
  // A sentence may quote what a client has written: it points nowhere.
  EXPECT_EQ(publish(fail(Code::InvalidInput, "'/a' is no token"), Shape::Rest, "").param, "");
}

TEST(Errors, IdsOfUnknownModelsAreShortAndPlain) {
  Error error = no_such_model(std::string(1000, 'x').append("\r\n"));
  EXPECT_LT(error.message.size(), 200u);
  EXPECT_EQ(no_such_model("a\r\nb\xff").message, "No such model a??b\uFFFD or task");
  EXPECT_EQ(no_such_model("@cf/ñandú/猫").message, "No such model @cf/ñandú/猫 or task");
  EXPECT_EQ(no_such_route("/où").message, "Could not route to /où, perhaps your object identifier is invalid?");
  // Cut between characters.
  EXPECT_TRUE(is_utf8(no_such_model("x" + std::string(42, 'y') + std::string(200, '\xc3')).message));
  std::string long_id = "x";
  for (int i = 0; i < 100; ++i) long_id += "ñ";
  EXPECT_EQ(no_such_model(long_id).message.find("\uFFFD"), std::string::npos);
}

TEST(Errors, OfTheServersOwnFilesNothingIsTold) {
  for (Code code : {Code::LoadFailed, Code::Io, Code::Internal, Code::Busy, Code::Forbidden})
    EXPECT_EQ(publish(own_failure(Error{code, "/srv/verge/accounts.db: damaged"}), Shape::Rest, "").message.find("accounts.db"), std::string::npos)
        << to_string(code);
}

TEST(Errors, AnUnknownModelIsNotFoundToOpenAiOnly) {
  const Error error = no_such_model("x");
  EXPECT_EQ(publish(error, Shape::OpenAi, "").status, 404);
  EXPECT_EQ(publish(error, Shape::OpenAi, "").openai_code, "model_not_found");
  EXPECT_EQ(publish(error, Shape::Rest, "").status, 400);
  EXPECT_EQ(publish(error, Shape::Binding, "").status, 400);
}

TEST(Errors, ASpentAllocationNamesNoPlanAndIsTheOperatorsToWord) {
  Error spent{Code::QuotaUsed, "internal"};
  spent.limit = 10'000'000'000;
  const Published usual = publish(spent, Shape::Rest, "");
  EXPECT_EQ(usual.code, 3036);
  EXPECT_EQ(usual.description, "You have used up your daily free allocation of 10,000 neurons. It is renewed at 00:00 UTC.");
  EXPECT_EQ(publish(spent, Shape::Rest, "", "{neurons} of {neurons}: ask ops").description, "10,000 of 10,000: ask ops");
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
