#include "worker/tasks/text_generation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/worker/fake_model.h"

namespace verge::worker {
namespace {

// "<role>content" for each message, then "<assistant>".
constexpr std::string_view kTemplate =
    "{% for m in messages %}{% if m.role == 'bad' %}{{ raise_exception('unknown role') }}{% endif "
    "%}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";

protocol::Request request(json::object params) {
  protocol::Request r;
  r.params = std::move(params);
  r.seed = 42;
  return r;
}

std::string text_of(const Generation& g) {
  std::string text;
  for (int32_t id : g.prompt) text += id == 257 ? "^" : std::string(1, static_cast<char>(id));
  return text;
}

struct TextGeneration : ::testing::Test {
  engine::LoadedModel base = testing::fake_loaded_model();
  engine::LoadedModel chat = testing::fake_loaded_model();
  void SetUp() override {
    use(kTemplate);
  }
  void use(std::string_view source) {
    auto compiled = engine::ChatTemplate::compile(source);
    ASSERT_TRUE(compiled.ok()) << compiled.error().message;
    chat.chat_template = std::move(*compiled);
    chat.file->chat_template = source;
  }
  Result<Generation> prepare(json::object params, const engine::LoadedModel& model, int context = 1000) {
    Grammars grammars(model);
    return prepare_generation(request(std::move(params)), model, grammars, context, 0);
  }
};

TEST_F(TextGeneration, APromptPassesThroughTheChatTemplateUnlessRaw) {
  EXPECT_EQ(text_of(*prepare({{"prompt", "hi"}}, chat)), "^<user>hi<assistant>");
  EXPECT_TRUE(prepare({{"prompt", "hi"}}, chat)->starts_text);
  EXPECT_EQ(text_of(*prepare({{"prompt", "hi"}, {"raw", true}}, chat)), "^hi");
  EXPECT_FALSE(prepare({{"prompt", "hi"}, {"raw", true}}, chat)->starts_text);
}

TEST_F(TextGeneration, ATemplateThatWritesBosItselfGetsNoSecond) {
  chat.file->chat_template = "{{ bos_token }}…";
  EXPECT_EQ(text_of(*prepare({{"prompt", "hi"}}, chat)), "<user>hi<assistant>");
}

TEST_F(TextGeneration, WithoutATemplateMessagesAreATranscript) {
  const json::array messages{{{"role", "system"}, {"content", "Be brief."}}, {{"role", "user"}, {"content", "hi"}}};
  EXPECT_EQ(text_of(*prepare({{"messages", messages}}, base)), "^system: Be brief.\nuser: hi\nassistant:");
  EXPECT_EQ(text_of(*prepare({{"prompt", "hi"}}, base)), "^hi");
}

TEST_F(TextGeneration, TextPartsAreJoinedAndOthersRefused) {
  const json::array parts{{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}};
  EXPECT_EQ(text_of(*prepare({{"messages", json::array{{{"role", "user"}, {"content", parts}}}}}, chat)), "^<user>ab<assistant>");
  const json::array image{{{"type", "image_url"}, {"image_url", "x"}}};
  const auto refused = prepare({{"messages", json::array{{{"role", "user"}, {"content", image}}}}}, chat);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::UnsupportedParameter);
  EXPECT_NE(refused.error().message.find("image_url"), std::string::npos);
}

// Templates that walk a list of parts get one, those that print strings get strings.
TEST_F(TextGeneration, ContentComesInTheFormThatTheTemplatePrints) {
  const json::array parts{{{"type", "text"}, {"text", "a"}},
                          {{"type", "input_text"}, {"text", "b"}}};
  const auto both = [&](std::string_view source) {
    use(source);
    const json::array messages{{{"role", "system"}, {"content", "s"}},
                               {{"role", "user"}, {"content", parts}},
                               {{"role", "user"}, {"content", "c"}}};
    const auto made = prepare({{"messages", messages}}, chat);
    EXPECT_TRUE(made.ok()) << source;
    return made.ok() ? text_of(*made) : made.error().message;
  };
  EXPECT_EQ(both("{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}[{{ "
                 "p.text }}]{% endif %}{% endfor %}{% endfor %}"),
            "^[s][a][b][c]");
  EXPECT_EQ(both("{% for m in messages %}[{{ m.content[0]['text'] }}]{% endfor %}"), "^[s][a][c]");
  EXPECT_EQ(both("{% for m in messages %}[{{ m.content }}]{% endfor %}"), "^[s][ab][c]");
  EXPECT_EQ(both("{% for m in messages %}{% if m.content is string %}[{{ m.content }}]{% else %}{% "
                 "for p in m.content %}<{{ p.text }}>{% endfor %}{% endif %}{% endfor %}"),
            "^[s]<a><b>[c]");
  // Strings of the system, parts of everybody else.
  EXPECT_EQ(
      both("{% for m in messages %}{% if m.role == 'system' %}{{ '(' + m.content + ')' }}{% else "
           "%}{% for p in m.content %}[{{ p['text'] | trim }}]{% endfor %}{% endif %}{% endfor %}"),
      "^(s)[a][b][c]");
  // A prompt is a message too.
  use("{% for m in messages %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endfor %}");
  EXPECT_EQ(text_of(*prepare({{"prompt", "hi"}}, chat)), "^[hi]");
}

TEST_F(TextGeneration, AModelWhoseTemplateDoesNotCompileTakesRawPrompts) {
  base.chat_template_fault = "unexpected end of template";
  for (json::object params :
       {json::object{{"prompt", "hi"}},
        json::object{{"messages", json::array{{{"role", "user"}, {"content", "hi"}}}}}}) {
    const auto refused = prepare(params, base);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::InvalidInput);
    EXPECT_NE(refused.error().message.find("unexpected end of template"), std::string::npos);
    EXPECT_NE(refused.error().message.find("raw"), std::string::npos);
  }
  EXPECT_EQ(text_of(*prepare({{"prompt", "hi"}, {"raw", true}}, base)), "^hi");
}

TEST_F(TextGeneration, TheTemplatesOwnErrorReachesTheClient) {
  const auto refused = prepare({{"messages", json::array{{{"role", "bad"}, {"content", "x"}}}}}, chat);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::InvalidInput);
}

TEST_F(TextGeneration, HostileShapesAreErrorsThatNameTheField) {
  for (json::object params : {json::object{}, json::object{{"prompt", 5}}, json::object{{"messages", json::array{1}}},
                              json::object{{"messages", json::array{json::object{{"content", "x"}}}}},
                              json::object{{"messages", json::array{json::object{{"role", "user"}, {"content", 7}}}}}}) {
    const auto result = prepare(params, chat);
    ASSERT_FALSE(result) << json::serialize(params);
    EXPECT_EQ(result.error().code, Code::InvalidInput);
  }
  EXPECT_NE(prepare({{"prompt", "a"}, {"top_p", "x"}}, base).error().message.find("top_p"), std::string::npos);
}

TEST_F(TextGeneration, TheContextWindowIsStrictForAWishAndShrinksADefault) {
  // "^" + 9 characters = 10 tokens of 20.
  const auto over = prepare({{"prompt", "123456789"}, {"max_tokens", 11}}, base, 20);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Code::ContextOverflow);
  EXPECT_EQ(over.error().requested, 21);
  EXPECT_EQ(over.error().limit, 20);
  EXPECT_EQ(over.error().message, "The estimated number of input and maximum output tokens (21) exceeded this model context window limit (20).");
  EXPECT_EQ(prepare({{"prompt", "123456789"}, {"max_tokens", 10}}, base, 20)->max_tokens, 10);
  EXPECT_EQ(prepare({{"prompt", "123456789"}, {"max_tokens", 256}, {"clamp_max_tokens", true}}, base, 20)->max_tokens, 10);
  EXPECT_EQ(prepare({{"prompt", "123456789"}}, base, 20)->max_tokens, 10);
  const auto full = prepare({{"prompt", "123456789"}, {"max_tokens", 256}, {"clamp_max_tokens", true}}, base, 10);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().requested, 266);
  EXPECT_FALSE(prepare({{"prompt", "x"}, {"max_tokens", INT64_MAX}}, base));
  EXPECT_EQ(prepare({{"prompt", "x"}, {"max_tokens", -1}}, base).error().code, Code::InvalidInput);
}

TEST_F(TextGeneration, NoTokensAtAllFitBesideAPromptThatFillsTheWindow) {
  const auto none = prepare({{"prompt", "123456789"}, {"max_tokens", 0}}, base, 10);
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_EQ(none->max_tokens, 0);
  EXPECT_FALSE(prepare({{"prompt", "123456789"}, {"max_tokens", 0}}, base, 9));
}

// A prompt that cannot fit by its length is not read at all; one that may is read up to twice the window.
TEST_F(TextGeneration, APromptFarBeyondTheWindowIsRefusedUnread) {
  struct Watched : testing::ByteTokenizer {
    explicit Watched(bool is_known) : known(is_known) {}
    std::vector<int32_t> encode(std::string_view text, const engine::EncodeOptions& options) const override {
      auto ids = ByteTokenizer::encode(text, options);
      most_read = std::max(most_read, ids.size());
      return ids;
    }
    size_t least_tokens(std::string_view text) const override { return known ? text.size() / 8 : 0; }
    bool known;
    mutable size_t most_read = 0;
  };
  const std::string prompt(9'000'000, ' ');
  const json::array messages{{{"role", "user"}, {"content", prompt}}};
  for (const bool known : {true, false}) {
    auto watched = std::make_unique<Watched>(known);
    const Watched& seen = *watched;
    chat.tokenizer = std::move(watched);
    for (const json::object& params : {json::object{{"prompt", prompt}}, json::object{{"prompt", prompt}, {"raw", true}}, json::object{{"messages", messages}}}) {
      const auto refused = prepare(params, chat, 8192);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Code::ContextOverflow);
      EXPECT_EQ(refused.error().limit, 8192);
      EXPECT_GT(refused.error().requested, 1'000'000);
    }
    EXPECT_LE(seen.most_read, known ? 0u : 2 * 8192u + 2);
  }
}

TEST_F(TextGeneration, SamplingParametersArrive) {
  const auto g = prepare({{"prompt", "x"}, {"temperature", 0}, {"top_p", 0.5}, {"top_k", 7}, {"min_p", 0.1}, {"repetition_penalty", 1.5},
                          {"frequency_penalty", -0.5}, {"presence_penalty", 1}, {"logprobs", 4}, {"logit_bias", {{"5", -100}, {"6", 1.5}}}},
                         base);
  ASSERT_TRUE(g);
  const engine::SamplingParams& s = g->sampling;
  EXPECT_EQ(s.temperature, 0);
  EXPECT_EQ(s.top_p, 0.5f);
  EXPECT_EQ(s.top_k, 7);
  EXPECT_EQ(s.min_p, 0.1f);
  EXPECT_EQ(s.repetition_penalty, 1.5f);
  EXPECT_EQ(s.frequency_penalty, -0.5f);
  EXPECT_EQ(s.presence_penalty, 1);
  EXPECT_EQ(s.logprobs, 4);
  EXPECT_EQ(s.seed, 42u);
  EXPECT_EQ(s.logit_bias, (std::vector<std::pair<int32_t, float>>{{5, -100.f}, {6, 1.5f}}));
}

TEST_F(TextGeneration, LogitBiasOutsideTheVocabularyIsRefused) {
  for (const char* id : {"258", "-1", "x", "5x", "99999999999"}) {
    const auto result = prepare({{"prompt", "x"}, {"logit_bias", {{id, 1}}}}, base);
    ASSERT_FALSE(result) << id;
    EXPECT_NE(result.error().message.find("logit_bias"), std::string::npos);
  }
}

TEST_F(TextGeneration, IgnoreEosForbidsTheStopTokens) {
  const auto g = prepare({{"prompt", "x"}, {"ignore_eos", true}}, base);
  ASSERT_EQ(g->sampling.logit_bias.size(), 1u);
  EXPECT_EQ(g->sampling.logit_bias[0].first, 256);
  EXPECT_TRUE(std::isinf(g->sampling.logit_bias[0].second));
}

TEST_F(TextGeneration, StopStringsAreBounded) {
  EXPECT_EQ(prepare({{"prompt", "x"}, {"stop", {"a", "", "b"}}}, base)->stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(prepare({{"prompt", "x"}, {"stop", {1}}}, base));
  EXPECT_FALSE(prepare({{"prompt", "x"}, {"stop", json::array(limits::kStopStrings + 1, "s")}}, base));
  EXPECT_FALSE(prepare({{"prompt", "x"}, {"stop", {std::string(limits::kStopStringBytes + 1, 's')}}}, base));
}

TEST_F(TextGeneration, ResumeIdsAreChecked) {
  auto r = request({{"prompt", "x"}, {"max_tokens", 2}});
  Grammars grammars(base);
  r.resume_ids = {1, 2};
  EXPECT_EQ(prepare_generation(r, base, grammars, 100, 0)->resume, (std::vector<int32_t>{1, 2}));
  r.resume_ids = {1, 258};
  EXPECT_FALSE(prepare_generation(r, base, grammars, 100, 0));
  r.resume_ids = {1, 2, 3};
  EXPECT_FALSE(prepare_generation(r, base, grammars, 100, 0));
}

}  // namespace
}  // namespace verge::worker
