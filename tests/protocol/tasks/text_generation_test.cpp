#include "protocol/tasks/text_generation.h"

#include <gtest/gtest.h>

namespace verge::protocol {
namespace {

TEST(TextGenerationDeltas, AreTheSameAfterTheWire) {
  using Kind = Delta::Kind;
  for (const Delta& delta :
       {Delta{Kind::Text, 0, "", "", "a\"\n"}, Delta{Kind::Reasoning, 0, "", "", "hm"},
        Delta{Kind::Call, 2, "call_1", "f", ""}, Delta{Kind::Arguments, 2, "", "", "{\"a\":"}})
    EXPECT_EQ(delta_from_json(to_json(delta)), delta);
  // A transcript's segment is none.
  EXPECT_EQ(delta_from_json(parse_json(R"({"text":"a","start":0})").value()), std::nullopt);
  EXPECT_EQ(delta_from_json(json::value(1)), std::nullopt);
}

TEST(TextGenerationDeltas, MakeWholeCalls) {
  using Kind = Delta::Kind;
  Generated whole;
  for (const Delta& delta :
       {Delta{Kind::Reasoning, 0, "", "", "a"}, Delta{Kind::Reasoning, 0, "", "", "b"},
        Delta{Kind::Text, 0, "", "", "text"}, Delta{Kind::Call, 0, "call_1", "f", ""},
        Delta{Kind::Arguments, 0, "", "", "{"}, Delta{Kind::Arguments, 0, "", "", "}"},
        Delta{Kind::Call, 1, "call_2", "g", ""}})
    whole.add(delta);
  EXPECT_EQ(whole.reasoning, "ab");
  ASSERT_EQ(whole.calls.size(), 2u);
  EXPECT_EQ(whole.calls[0], (ToolCall{"call_1", "f", "{}"}));
  EXPECT_EQ(whole.calls[1], (ToolCall{"call_2", "g", ""}));
}

}  // namespace
}  // namespace verge::protocol
