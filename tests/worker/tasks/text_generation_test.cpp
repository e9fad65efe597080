#include "worker/tasks/text_generation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "protocol/tasks/text_generation.h"
#include "tests/worker/fake_model.h"

namespace verge::worker {
namespace {

// "<role>content" for each message, then "<assistant>".
constexpr std::string_view kTemplate =
    "{% for m in messages %}{% if m.role == 'bad' %}{{ raise_exception('unknown role') }}{% endif "
    "%}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";

// As requests come: the parameters are JSON.
Result<Generation> prepare_with(const engine::LoadedModel& model, Grammars& grammars, const json::object& params, int context, int64_t seconds = 0,
                                std::vector<int32_t> resume_ids = {}) {
  VERGE_ASSIGN(parameters, protocol::text_parameters(params));
  return prepare_generation(parameters, {"", 42, std::move(resume_ids)}, model, grammars, context, seconds);
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
    return prepare_with(model, grammars, params, context);
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
  const json::object params{{"prompt", "x"}, {"max_tokens", 2}};
  Grammars grammars(base);
  EXPECT_EQ(prepare_with(base, grammars, params, 100, 0, {1, 2})->resume, (std::vector<int32_t>{1, 2}));
  EXPECT_FALSE(prepare_with(base, grammars, params, 100, 0, {1, 258}));
  EXPECT_FALSE(prepare_with(base, grammars, params, 100, 0, {1, 2, 3}));
}

// ---- Functions and thoughts

json::object with_tools(const json::object& params, const protocol::Tools& tools) {
  protocol::TextParameters parameters = protocol::text_parameters(params).value();
  parameters.tools = tools;
  return protocol::to_json(parameters);
}

json::object with_tools(const json::object& params, protocol::ToolMode mode = protocol::ToolMode::Auto) {
  protocol::Tools tools;
  tools.tools.push_back(
      {"f", "does",
       json::object{{"type", "object"},
                    {"properties", json::object{{"a", json::object{{"type", "string"}}}}}},
       "/tools/0/parameters"});
  tools.choice.mode = mode;
  return with_tools(params, tools);
}

TEST_F(TextGeneration, ATemplateThatKnowsToolsGetsThem) {
  use("{% for t in tools %}[{{ t.function.name }}{{ t.type }}]{% endfor %}{# <tool_call> #}{% for "
      "m in messages %}<{{ m.role }}>{{ m.content }}"
      "{% for c in m.tool_calls %}<tool_call>{{ c.function.name }}{{ c.function.arguments.a }}{% "
      "endfor %}{% endfor %}<assistant>");
  const auto made = prepare(with_tools({{"prompt", "hi"}}), chat);
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(text_of(*made), "^[ffunction]<user>hi<assistant>");
  EXPECT_TRUE(made->grammar && made->parser);
  EXPECT_EQ(text_of(*prepare(with_tools({{"prompt", "hi"}}, protocol::ToolMode::None), chat)),
            "^<user>hi<assistant>");
  const json::array history{
      {{"role", "user"}, {"content", "hi"}},
      {{"role", "assistant"},
       {"content", ""},
       {"tool_calls", json::array{{{"type", "function"},
                                   {"function", {{"name", "f"}, {"arguments", {{"a", "x"}}}}}}}}},
      {{"role", "tool"}, {"content", "4"}}};
  EXPECT_EQ(text_of(*prepare({{"messages", history}}, chat)),
            "^<user>hi<assistant><tool_call>fx<tool>4<assistant>");
  // Thoughts of a template that has no marks are nothing: the text is the answer.
  EXPECT_FALSE(prepare({{"prompt", "hi"}}, chat)->parser);
}

TEST_F(TextGeneration, ATemplateWithoutToolsGetsThemAsText) {
  const auto made =
      prepare(with_tools({{"prompt", "hi"}}, protocol::ToolMode::Required), chat, 4000);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const std::string text = text_of(*made);
  EXPECT_TRUE(text.starts_with("^<system># Tools")) << text;
  EXPECT_NE(
      text.find(
          R"({"type":"function","function":{"name":"f","description":"does","parameters":{"type":"object")"),
      std::string::npos)
      << text;
  EXPECT_TRUE(text.ends_with("<user>hi<assistant>")) << text;
  const json::array history{
      {{"role", "system"}, {"content", "Be brief."}},
      {{"role", "user"}, {"content", "hi"}},
      {{"role", "assistant"},
       {"content", ""},
       {"tool_calls", json::array{{{"type", "function"},
                                   {"function", {{"name", "f"}, {"arguments", {{"a", "x"}}}}}}}}},
      {{"role", "tool"}, {"content", "4"}},
      {{"role", "tool"}, {"content", "5"}}};
  EXPECT_EQ(text_of(*prepare({{"messages", history}}, chat)),
            "^<system>Be brief.<user>hi<assistant><tool_call>\n{\"name\": \"f\", \"arguments\": "
            "{\"a\":\"x\"}}\n</tool_call><user><tool_response>\n4\n</tool_response>\n"
            "<tool_response>\n5\n</tool_response><assistant>");
}

// @cloudflare/ai-utils: calls are texts of the assistant, results have a name and no id.
TEST_F(TextGeneration, CallsThatAreWrittenAsTextAreCalls) {
  const json::object call{{"role", "assistant"},
                          {"content", R"({"name":"f","arguments":{"a":"x"}})"}};
  const auto render = [&](json::array messages) {
    return text_of(*prepare({{"messages", std::move(messages)}}, chat));
  };
  EXPECT_EQ(render({call, {{"role", "tool"}, {"name", "f"}, {"content", "4"}}}),
            "^<assistant><tool_call>\n{\"name\": \"f\", \"arguments\": "
            "{\"a\":\"x\"}}\n</tool_call><user><tool_response>\n4\n</tool_response><assistant>");
  EXPECT_EQ(render({call, {{"role", "user"}, {"content", "4"}}}),
            R"(^<assistant>{"name":"f","arguments":{"a":"x"}}<user>4<assistant>)");
  EXPECT_EQ(render({call}), R"(^<assistant>{"name":"f","arguments":{"a":"x"}}<assistant>)");
}

TEST_F(TextGeneration, SchemasOfToolsThatCanNotBeMetAreRefusedByPlace) {
  protocol::Tools tools;
  tools.tools.push_back(
      {"f", "",
       json::object{{"type", "object"},
                    {"properties", json::object{{"a", json::object{{"pattern", "("}}}}}},
       "/tools/0/function/parameters"});
  const auto made = prepare(with_tools({{"prompt", "hi"}}, tools), chat, 4000);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().message.find("'/tools/0/function/parameters/properties/a' (pattern)"),
            std::string::npos)
      << made.error().message;
  EXPECT_EQ(made.error().pointer, "/tools/0/function/parameters/properties/a");
}

constexpr std::string_view kThinking =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>{% if "
    "enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% elif open %}<think>\n{% endif %}";

TEST_F(TextGeneration, ThoughtsAreReadWhereTheTemplateHasMarks) {
  use(kThinking);
  const auto split = [&](json::object params, std::string_view answer) {
    const auto made = prepare(std::move(params), chat);
    EXPECT_TRUE(made.ok()) << made.error().message;
    std::string reasoning, text;
    if (!made->parser) return std::string("|") + std::string(answer);
    std::vector<engine::tools::Delta> deltas;
    made->parser->push(answer, deltas);
    made->parser->finish(deltas);
    for (const auto& d : deltas)
      (d.kind == engine::tools::Delta::Kind::Reasoning ? reasoning : text) += d.text;
    return reasoning + "|" + text;
  };
  EXPECT_EQ(split({{"prompt", "hi"}}, "<think>\na\n</think>\n\nb"), "a|b");
  EXPECT_EQ(split({{"prompt", "hi"}}, "b"), "|b");
  EXPECT_EQ(
      split({{"prompt", "hi"}, {"chat_template_kwargs", {{"open", true}}}}, "a\n</think>\n\nb"),
      "a|b");
  EXPECT_EQ(split({{"prompt", "hi"}, {"reasoning_effort", "none"}}, "b"), "|b");
  EXPECT_EQ(split({{"prompt", "hi"}, {"raw", true}}, "<think>a"), "|<think>a");
}

TEST_F(TextGeneration, ASchemaBeginsBehindTheThought) {
  use(kThinking);
  Grammars grammars(chat);
  const auto made = prepare_with(
      chat, grammars,
      {{"prompt", "hi"},
       {"grammar", {{"kind", "json_schema"}, {"source", R"({"type":"integer"})"}, {"at", "/x"}}}},
      1000);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto follows = [&](std::string_view text, bool whole) {
    engine::grammar::Matcher at = made->grammar->start(true);
    for (unsigned char c : text)
      if (!made->grammar->advance(at, c)) return false;
    return made->grammar->complete(at) == whole;
  };
  EXPECT_TRUE(follows("<think>\na {", false));
  EXPECT_TRUE(follows("<think>\na {\n</think>\n\n12", true));
  EXPECT_TRUE(follows("12", true));
  EXPECT_FALSE(follows("<think>a</think>x", false));
}

TEST_F(TextGeneration, PromptsOfADayBeginAlike) {
  use("{{ strftime_now('%d %b %Y %H:%M') }}");
  Grammars grammars(chat);
  const auto at = [&](int64_t seconds) { return text_of(*prepare_with(chat, grammars, {{"prompt", "hi"}}, 1000, seconds)); };
  EXPECT_EQ(at(86'400), "^02 Jan 1970 00:00");
  EXPECT_EQ(at(2 * 86'400 - 1), at(86'400));
  EXPECT_NE(at(2 * 86'400), at(86'400));
}

TEST_F(TextGeneration, EffortsAreTheTemplatesOrRefused) {
  const auto rendered = [&](std::string_view source, json::object params) {
    use(source);
    params["prompt"] = "";
    const auto made = prepare(std::move(params), chat);
    return made.ok() ? text_of(*made) : made.error().message;
  };
  constexpr std::string_view effort = "{{ reasoning_effort }}", swtch = "{{ enable_thinking }}",
                             always = "{# <think> #}x", never = "x";
  EXPECT_EQ(rendered(effort, {{"reasoning_effort", "medium"}}), "^medium");
  EXPECT_EQ(rendered(effort, {{"reasoning_effort", "max"}}), "^high");
  EXPECT_EQ(rendered("{# <|channel|> #}{{ reasoning_effort }}", {{"reasoning_effort", "none"}}),
            "^low")
      << "gpt-oss always thinks";
  EXPECT_EQ(rendered(swtch, {{"reasoning_effort", "low"}}), "^True");
  EXPECT_EQ(rendered(swtch, {{"reasoning_effort", "none"}}), "^False");
  EXPECT_EQ(rendered(swtch, {{"reasoning_effort", "none"},
                             {"chat_template_kwargs", {{"enable_thinking", true}}}}),
            "^True")
      << "the nearer word counts";
  // Levels of the model's own go to the template as they are.
  const auto own = [](std::string_view level, bool usual = false) {
    json::object out{{"reasoning_effort", level}, {"reasoning_levels", {"max", "high", "none"}}};
    if (usual) out["reasoning_usual"] = true;
    return out;
  };
  EXPECT_EQ(rendered(effort, own("max")), "^max");
  EXPECT_EQ(rendered(effort, own("max", true)), "^max");
  EXPECT_EQ(rendered(effort, own("none")), "^none");
  EXPECT_EQ(rendered("{{ reasoning_effort }}{{ enable_thinking }}", own("none")), "^noneFalse");
  EXPECT_EQ(rendered("{{ reasoning_effort }}{{ enable_thinking }}", own("high")), "^high");
  EXPECT_EQ(rendered(swtch, own("none")), "^False");
  EXPECT_EQ(rendered(swtch, own("max")), "^True");
  EXPECT_EQ(rendered(never, own("max", true)), "^x") << "a stand-in";
  EXPECT_NE(rendered(never, own("max")).find("'/reasoning_effort'"), std::string::npos);
  EXPECT_EQ(rendered(always, {{"reasoning_effort", "high"}}), "^x");
  EXPECT_EQ(rendered(never, {{"reasoning_effort", "none"}}), "^x");
  EXPECT_NE(rendered(never, {{"reasoning_effort", "high"}}).find("'/reasoning_effort'"),
            std::string::npos);
  EXPECT_NE(rendered(never, {{"chat_template_kwargs", {{"enable_thinking", true}}}})
                .find("'/chat_template_kwargs/enable_thinking'"),
            std::string::npos);
  EXPECT_EQ(rendered(never, {{"chat_template_kwargs", {{"enable_thinking", false}}}}), "^x");
}

// A text of the schema that looks like a call is none: nothing held its arguments.
TEST_F(TextGeneration, WhatASchemaAdmitsBesideToolsIsText) {
  use("{% for m in messages %}{{ m.content }}{% endfor %}");
  protocol::Tools tools;
  tools.tools.push_back({"f", "", {{"type", "object"}}, "/tools/0/parameters"});
  json::object params{{"prompt", "hi"},
                      {"grammar", json::object{{"kind", "json_schema"},
                                               {"source", R"({"type":"object"})"},
                                               {"at", "/response_format"}}}};
  const auto made = prepare(with_tools(params, tools), chat);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const std::string text = R"({"name": "f", "arguments": {"a": 5}})";
  std::vector<engine::tools::Delta> read;
  made->parser->push(text, read);
  made->parser->finish(read);
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(read[0].text, text);
}

// The conversation and its functions are the request's: a variable in their place would hide them.
TEST_F(TextGeneration, VariablesOfTheTemplateReplaceNeitherMessagesNorTools) {
  use("{{ messages[0].content }}{{ tools }}");
  for (const char* name : {"messages", "tools"}) {
    const auto made = prepare(
        {{"prompt", "hi"}, {"chat_template_kwargs", json::object{{name, json::array()}}}}, chat);
    ASSERT_FALSE(made.ok()) << name;
    EXPECT_EQ(made.error().code, Code::UnsupportedParameter);
    EXPECT_NE(made.error().message.find(fmt::format("'/chat_template_kwargs/{}'", name)),
              std::string::npos)
        << made.error().message;
  }
}

}  // namespace
}  // namespace verge::worker
