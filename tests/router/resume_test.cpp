#include "router/resume.h"

#include <gtest/gtest.h>

namespace verge::router {
namespace {

using namespace protocol;

Request request() {
  Request r;
  r.id = "id", r.model = "m", r.task = "text-generation", r.seed = 7, r.payload = std::string("p");
  return r;
}
bool forwarded(Resume& resume, Event event) {
  auto out = resume.pass(std::move(event));
  EXPECT_TRUE(out);
  return out && out->has_value();
}

// Promises: RS2.
TEST(Resume, ASecondAttemptGoesOnAfterWhatTheClientHas) {
  Resume resume(request());
  EXPECT_TRUE(resume.next().resume_ids.empty());
  EXPECT_TRUE(forwarded(resume, Accepted{5, 2, "node", "m", false}));
  EXPECT_TRUE(forwarded(resume, Token{{1, 2}, "ab", {}}));
  EXPECT_TRUE(forwarded(resume, Token{{3}, "", {}}));
  EXPECT_TRUE(resume.progress());
  const Request second = resume.next();
  EXPECT_EQ((std::vector<int32_t>{1, 2, 3}), second.resume_ids);
  EXPECT_EQ(7u, second.seed);
  EXPECT_EQ("p", second.payload.view());
  EXPECT_FALSE(resume.progress());
  EXPECT_TRUE(resume.resumed());
  EXPECT_FALSE(forwarded(resume, Accepted{5, 5, "other", "m", false})) << "the client was accepted once";
  EXPECT_TRUE(resume.accepted());
  EXPECT_TRUE(forwarded(resume, Token{{4}, "c", {}}));
  auto usage = resume.pass(Usage{5, 4, 5});
  ASSERT_TRUE(usage && *usage);
  EXPECT_EQ(2, std::get<Usage>(**usage).cached_tokens) << "what the replay found in the cache is not the client's";
  EXPECT_TRUE(forwarded(resume, End{"stop"}));
}

// Promises: RS1.
TEST(Resume, PartsOfARepeatedAttemptAreHandedOutOnce) {
  Resume resume(request());
  resume.next();
  EXPECT_TRUE(forwarded(resume, Accepted{0, 0, "node", "m", false}));
  EXPECT_TRUE(forwarded(resume, Part{1}));
  EXPECT_TRUE(forwarded(resume, Part{2}));
  EXPECT_TRUE(resume.progress());
  resume.next();
  forwarded(resume, Accepted{0, 0, "other", "m", false});
  EXPECT_FALSE(forwarded(resume, Part{1}));
  EXPECT_FALSE(forwarded(resume, Part{2}));
  EXPECT_FALSE(resume.progress());
  EXPECT_TRUE(forwarded(resume, Part{3}));
  EXPECT_TRUE(resume.progress());
}

TEST(Resume, KeepsIdsThatTheRequestCameWith) {
  Request r = request();
  r.resume_ids = {9};
  Resume resume(r);
  EXPECT_FALSE(resume.resumed());
  resume.next();
  forwarded(resume, Token{{1}, "a", {}});
  EXPECT_EQ((std::vector<int32_t>{9, 1}), resume.next().resume_ids);
}

// Promises: RS3.
TEST(Resume, AnotherModelOrPromptCannotContinue) {
  for (const Accepted& second : {Accepted{5, 0, "node", "other", false}, Accepted{6, 0, "node", "m", false}}) {
    Resume resume(request());
    resume.next();
    forwarded(resume, Accepted{5, 0, "node", "m", false});
    resume.next();
    const auto out = resume.pass(second);
    ASSERT_FALSE(out);
    EXPECT_EQ(Code::Internal, out.error().code);
  }
}

// Promises: RS1, RS4.
TEST(Resume, ResultAndUsageComeOnce) {
  Resume resume(request());
  resume.next();
  EXPECT_TRUE(forwarded(resume, protocol::Result{json::value("x")}));
  EXPECT_TRUE(forwarded(resume, Usage{1, 2, 0}));
  resume.next();
  EXPECT_FALSE(forwarded(resume, protocol::Result{json::value("x")}));
  EXPECT_FALSE(forwarded(resume, Usage{1, 2, 0}));
}

}  // namespace
}  // namespace verge::router
