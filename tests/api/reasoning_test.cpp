#include "api/tasks/reasoning.h"

#include <gtest/gtest.h>

namespace verge::api {
namespace {

// What the worker is told of a model's effort; an error's message where it is refused.
std::string told(const std::string& id, json::object body) {
  catalogue::Entry entry;
  entry.id = id;
  Params in(body);
  TextRequest out;
  read_reasoning(in, entry, out);
  if (!in.ok()) return in.error().message;
  return (out.params.reasoning_usual ? "usual " : "") + out.params.reasoning_effort.value_or("-");
}

std::string all(const std::string& id) {
  std::string out = told(id, {});
  for (const char* effort : {"none", "minimal", "low", "medium", "high", "xhigh", "max"})
    out += ", " + told(id, {{"reasoning_effort", effort}});
  return out;
}

TEST(Reasoning, EffortsAreThePublishedOnes) {
  //                            nothing       none  minimal low medium high xhigh max
  EXPECT_EQ(all("@cf/openai/gpt-oss-120b"), "usual medium, low, low, low, medium, high, high, high");
  EXPECT_EQ(all("@cf/moonshotai/kimi-k2.6"), "usual high, none, high, high, high, high, high, high");
  EXPECT_EQ(all("@cf/moonshotai/kimi-k2.7-code"), "-, -, -, -, -, -, -, -");
  EXPECT_EQ(all("@cf/zai-org/glm-5.2"), "usual max, none, none, high, high, high, max, max");
  for (const char* id : {"@cf/zai-org/glm-5.3", "@cf/zai-org/glm-5.3-flash"})
    EXPECT_EQ(all(id), "usual max, max, max, low, max, high, max, max");
  for (const char* id : {"@cf/deepseek-ai/deepseek-v4-flash", "@cf/deepseek-ai/DeepSeek-V4-Pro"})
    EXPECT_EQ(all(id), "usual high, none, low, low, high, high, high, max");
  EXPECT_EQ(all("@cf/qwen/qwen3.8-27b"),
            "usual xhigh, none, low, low, medium, xhigh, xhigh, xhigh");
  // Those without levels, and everybody's own: the template says what comes of it.
  for (const char* id : {"@cf/zai-org/glm-4.7-flash", "@cf/google/gemma-4-26b-a4b-it",
                         "@cf/nvidia/nemotron-3-120b-a12b", "@t/glm-5"})
    EXPECT_EQ(all(id), "-, none, minimal, low, medium, high, xhigh, max");
}

TEST(Reasoning, AModelThatAlwaysThinksCantBeSwitchedOff) {
  for (const char* id : {"@cf/openai/gpt-oss-20b", "@cf/moonshotai/kimi-k2.7-code",
                         "@cf/zai-org/glm-5.3-flash"}) {
    for (const char* name : {"enable_thinking", "thinking"}) {
      const auto with = [&](json::value value) {
        return told(id, {{"chat_template_kwargs", json::object{{name, std::move(value)}}}});
      };
      EXPECT_NE(with(false).find(fmt::format("'/chat_template_kwargs/{}'", name)),
                std::string::npos);
      EXPECT_EQ(with(true), told(id, {}));
    }
  }
  EXPECT_NE(told("@t/x", {{"reasoning_effort", "much"}}).find("'/reasoning_effort'"),
            std::string::npos);
  EXPECT_EQ(told("@t/x", {{"reasoning_effort", ""}}), "-");
}

}  // namespace
}  // namespace verge::api
