#include "support/trace.h"

#include <gtest/gtest.h>

namespace verge::trace {
namespace {

constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class TraceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    set_sink([this](Record record) { records_.push_back(std::move(record)); });
  }
  void TearDown() override { set_sink({}); }
  std::vector<Record> records_;
};

TEST_F(TraceTest, ChildrenHangOnTheirParents) {
  {
    Span outer("outer", Kind::Server, kParent);
    Span inner("inner", Kind::Client, outer.traceparent());
    EXPECT_TRUE(valid_traceparent(inner.traceparent()));
    inner.set("n", int64_t{3});
    inner.fail("broke");
  }
  ASSERT_EQ(records_.size(), 2u);
  const Record &inner = records_[0], &outer = records_[1];
  EXPECT_EQ(outer.parent_id, "b7ad6b7169203331");
  EXPECT_EQ(outer.trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(inner.parent_id, outer.span_id);
  EXPECT_EQ(inner.trace_id, outer.trace_id);
  EXPECT_EQ(inner.error, "broke");
  EXPECT_GE(outer.end_us, outer.start_us);
}

TEST_F(TraceTest, ANewTraceWhereNobodyBeganOne) {
  { Span span("a", Kind::Server, ""); }
  { Span span("b", Kind::Server, "nonsense"); }
  ASSERT_EQ(records_.size(), 2u);
  EXPECT_NE(records_[0].trace_id, records_[1].trace_id);
  EXPECT_TRUE(records_[0].parent_id.empty());
}

TEST_F(TraceTest, AParentThatIsNotSampledIsRespected) {
  Span span("a", Kind::Server, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  EXPECT_EQ(span.traceparent(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  span = Span();
  EXPECT_TRUE(records_.empty());
}

TEST(Trace, WithoutASinkTheCallersContextPasses) {
  Span span("a", Kind::Server, kParent);
  EXPECT_EQ(span.traceparent(), kParent);
  EXPECT_EQ(Span("a", Kind::Server, "").traceparent(), "");
}

TEST(Trace, Validity) {
  EXPECT_TRUE(valid_traceparent(kParent));
  for (const char* bad : {"", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                          "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                          "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    EXPECT_FALSE(valid_traceparent(bad)) << bad;
}

}  // namespace
}  // namespace verge::trace
