#include "worker/runner.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/tools/answer.h"
#include "support/random.h"
#include "tests/worker/fake_model.h"
#include "worker/aside_thread.h"

namespace verge::worker {
namespace {

using testing::FakeCache;
using testing::FakeModel;
using testing::fake_loaded_model;

// What one answer gave, event by event.
struct Collected {
  std::vector<int32_t> ids;
  std::vector<std::string> parts;  // text of each Token
  std::vector<protocol::TokenLogprob> logprobs;
  int accepted = 0, terminal = 0;
  protocol::Usage usage;
  std::string finish;
  Error error;
  std::string text() const {
    std::string out;
    for (const auto& p : parts) out += p;
    return out;
  }
};

void collect(const std::vector<Output>& outputs, std::map<uint64_t, Collected>& into) {
  for (const Output& output : outputs) {
    Collected& c = into[output.id];
    EXPECT_EQ(c.terminal, 0) << "an event after the terminal one";
    if (const auto* token = std::get_if<protocol::Token>(&output.event)) {
      EXPECT_EQ(c.accepted, 1);
      c.ids.insert(c.ids.end(), token->ids.begin(), token->ids.end());
      c.parts.push_back(token->text);
      c.logprobs.insert(c.logprobs.end(), token->logprobs.begin(), token->logprobs.end());
    } else if (std::holds_alternative<protocol::Accepted>(output.event)) {
      ++c.accepted;
    } else if (const auto* usage = std::get_if<protocol::Usage>(&output.event)) {
      c.usage = *usage;
    } else if (const auto* end = std::get_if<protocol::End>(&output.event)) {
      ++c.terminal;
      c.finish = end->finish_reason;
    } else if (const auto* failure = std::get_if<protocol::Failure>(&output.event)) {
      ++c.terminal;
      c.error = failure->error;
    }
  }
}

Generation generation(uint64_t seed, int prompt = 20, int answer = 40) {
  Generation g;
  for (int i = 0; i < prompt; ++i) g.prompt.push_back(static_cast<int32_t>(random_at(seed, static_cast<uint64_t>(i)) % 250));
  g.max_tokens = answer;
  g.sampling.temperature = 0.9f;
  g.sampling.seed = seed;
  return g;
}

struct Rig {
  explicit Rig(int pages, int max_rows = limits::kBatchTokens,
               int max_sequences = limits::kSequences, Aside* aside = nullptr)
      : model(fake_loaded_model()), cache(pages),
        runner(model, cache, options(pages, max_rows, max_sequences, aside)) {}
  static RunnerOptions options(int pages, int max_rows, int max_sequences, Aside* aside) {
    RunnerOptions o{"node-1", "fake", {}};
    o.aside = aside;
    o.batch.pages = pages;
    o.batch.max_rows = max_rows;
    o.batch.max_sequences = max_sequences;
    return o;
  }
  void submit(uint64_t id, Generation g) {
    std::vector<Output> out;
    runner.submit({id, std::move(g), "t", 0, false}, 0, out);
    collect(out, got);
  }
  int step(int prefill_rows = limits::kBatchTokens) {
    std::vector<Output> out;
    const int rows = runner.step(0, {.prompts = prefill_rows}, out);
    collect(out, got);
    return rows;
  }
  void run() {
    while (step() > 0) {}
  }
  engine::LoadedModel model;
  FakeCache cache;
  Runner runner;
  std::map<uint64_t, Collected> got;
};

Collected alone(Generation g) {
  Rig rig(200);
  rig.submit(1, std::move(g));
  rig.run();
  return rig.got.at(1);
}

// Under a grammar an answer is what the grammar says, and the same beside others, after a preemption and resumed anywhere.
TEST(Runner, AGrammarHoldsInAnyBatchAndWhereAnAnswerIsResumed) {
  const engine::LoadedModel model = fake_loaded_model();
  Grammars grammars(model);
  constexpr const char* schema = R"({"type":"object","properties":{"a":{"type":"string","minLength":3,"maxLength":6},"b":{"enum":[true,null]}},
                                     "required":["a","b"],"additionalProperties":false})";
  const auto grammar = grammars.find(protocol::WantedGrammar{"json_schema", schema, "/x"});
  ASSERT_TRUE(grammar) << grammar.error().message;
  const auto asked = [&](uint64_t seed) {
    Generation g = generation(seed, 20, 300);
    g.grammar = *grammar;
    return g;
  };
  const Collected whole = alone(asked(5));
  EXPECT_EQ(whole.finish, "stop") << whole.error.message;
  EXPECT_TRUE(parse_json(whole.text())) << whole.text();
  Rig crowd(20);  // pages for few: some are preempted
  for (uint64_t id = 1; id <= 8; ++id) crowd.submit(id, id == 3 ? asked(5) : asked(id + 20));
  crowd.run();
  EXPECT_EQ(crowd.got.at(3).ids, whole.ids);
  for (auto& [id, c] : crowd.got) EXPECT_TRUE(parse_json(c.text())) << c.text();
  AsideThread aside;  // masks are made while the forward pass runs: the same bytes
  Rig beside(20, limits::kBatchTokens, limits::kSequences, &aside);
  for (uint64_t id = 1; id <= 8; ++id)
    beside.submit(id, id == 3 ? asked(5) : id == 4 ? generation(4) : asked(id + 20));
  beside.run();
  for (auto& [id, c] : beside.got) {
    if (id != 4) EXPECT_EQ(c.ids, crowd.got.at(id).ids) << id;
  }
  EXPECT_EQ(beside.got.at(4).ids, alone(generation(4)).ids);
  for (size_t cut = 1; cut < whole.ids.size(); cut += 3) {
    Generation g = asked(5);
    g.resume.assign(whole.ids.begin(), whole.ids.begin() + static_cast<ptrdiff_t>(cut));
    const Collected rest = alone(std::move(g));
    EXPECT_EQ(std::vector<int32_t>(whole.ids.begin() + static_cast<ptrdiff_t>(cut), whole.ids.end()), rest.ids) << cut;
  }
  Generation wrong = asked(5);
  wrong.resume = {'x'};
  EXPECT_EQ(alone(std::move(wrong)).error.code, Code::InvalidInput);
}

TEST(Runner, OneAnswer) {
  const Collected c = alone(generation(3));
  EXPECT_EQ(c.accepted, 1);
  EXPECT_EQ(c.terminal, 1);
  EXPECT_EQ(c.usage.prompt_tokens, 20);
  EXPECT_EQ(c.usage.completion_tokens, static_cast<int64_t>(c.ids.size()));
  EXPECT_TRUE(c.finish == "length" ? c.ids.size() == 40 : c.finish == "stop");
}

// Promises: R2.
TEST(Runner, TheSameSeedGivesTheSameBytesAtAnyBatchSize) {
  std::map<uint64_t, Collected> expected;
  for (uint64_t id = 1; id <= 24; ++id) expected[id] = alone(generation(id, static_cast<int>(1 + id * 7)));
  for (const auto& [rows, sequences] : {std::pair{16, 4}, {64, 16}, {512, 64}}) {
    Rig rig(400, rows, sequences);
    for (uint64_t id = 1; id <= 24; ++id) rig.submit(id, generation(id, static_cast<int>(1 + id * 7)));
    rig.run();
    for (uint64_t id = 1; id <= 24; ++id) {
      EXPECT_EQ(rig.got.at(id).ids, expected.at(id).ids) << id;
      EXPECT_EQ(rig.got.at(id).parts, expected.at(id).parts) << id;
    }
  }
}

// Promises: R2.
TEST(Runner, PreemptionChangesNoByteAndLosesNoToken) {
  Rig rig(7);  // three of 20 + 40 tokens want six; prefixes and the rest compete
  std::map<uint64_t, Collected> expected;
  for (uint64_t id = 1; id <= 12; ++id) {
    Generation g = generation(id, 30, 70);
    g.sampling.logit_bias = {{256, -1000.f}};
    expected[id] = alone(g);
    rig.submit(id, g);
  }
  rig.run();
  EXPECT_GT(rig.runner.batch().preemptions(), 0u);
  for (uint64_t id = 1; id <= 12; ++id) {
    EXPECT_EQ(rig.got.at(id).ids, expected.at(id).ids) << id;
    EXPECT_EQ(rig.got.at(id).text(), expected.at(id).text()) << id;
    EXPECT_EQ(rig.got.at(id).accepted, 1);
    EXPECT_EQ(rig.got.at(id).terminal, 1);
  }
  rig.runner.batch().check();
  EXPECT_EQ(rig.runner.batch().pages().held(), 0);
}

// Promises: R2, R3.
TEST(Runner, AResumeAtEverySplitContinuesAtTheExactTokenAndByte) {
  for (uint64_t seed : {3, 11, 29}) {
    Generation g = generation(seed);
    g.stop = {"ab", "\xC3\xA9"};
    const Collected whole = alone(g);
    size_t ids = 0;
    for (size_t events = 0; events <= whole.parts.size(); ++events) {
      Generation rest = g;
      rest.resume.assign(whole.ids.begin(), whole.ids.begin() + static_cast<ptrdiff_t>(ids));
      const Collected c = alone(rest);
      EXPECT_EQ(std::vector<int32_t>(whole.ids.begin() + static_cast<ptrdiff_t>(ids), whole.ids.end()), c.ids);
      EXPECT_EQ(std::vector<std::string>(whole.parts.begin() + static_cast<ptrdiff_t>(events), whole.parts.end()), c.parts);
      EXPECT_EQ(c.finish, whole.finish);
      EXPECT_EQ(c.usage.completion_tokens, whole.usage.completion_tokens);
      EXPECT_EQ(c.accepted, 1);
      if (events < whole.parts.size()) ++ids;  // each Token event carries one id
    }
  }
}

TEST(Runner, StopTokensEndTheAnswerAndAreNotInIt) {
  Generation g = generation(5);
  g.sampling.logit_bias = {{256, 1000.f}};
  const Collected c = alone(g);
  EXPECT_EQ(c.finish, "stop");
  EXPECT_TRUE(c.ids.empty());
  EXPECT_EQ(c.usage.completion_tokens, 0);
}

// Promises: R3.
TEST(Runner, HeldTextComesWithTheStopToken) {
  Generation g = generation(5);
  g.sampling.logit_bias = {{'S', 1000.f}};
  g.stop = {"ST"};
  g.resume = {'S'};  // the client has "S"'s id and no text yet
  g.sampling.logit_bias = {{256, 1000.f}};
  const Collected c = alone(g);
  EXPECT_EQ(c.ids, (std::vector<int32_t>{256}));
  EXPECT_EQ(c.text(), "S");
  EXPECT_EQ(c.finish, "stop");
  EXPECT_EQ(c.usage.completion_tokens, 1);
  // A second death after that event: nothing is given out twice.
  g.resume = {'S', 256};
  const Collected again = alone(g);
  EXPECT_TRUE(again.ids.empty());
  EXPECT_EQ(again.finish, "stop");
}

TEST(Runner, AnAnswerThatWasAlreadyWholeEndsAtOnce) {
  Generation g = generation(5, 20, 3);
  g.sampling.logit_bias = {{256, -1000.f}};
  const Collected whole = alone(g);
  ASSERT_EQ(whole.finish, "length");
  g.resume = whole.ids;
  Rig rig(200);
  rig.submit(1, g);
  EXPECT_EQ(rig.got.at(1).finish, "length");
  EXPECT_TRUE(rig.got.at(1).ids.empty());
  EXPECT_TRUE(rig.runner.batch().empty());
  EXPECT_EQ(rig.step(), 0);
}

TEST(Runner, LogprobsComeWithEachIdWhereAskedFor) {
  Generation g = generation(5, 20, 4);
  g.sampling.logit_bias = {{256, -1000.f}};
  g.sampling.logprobs = 3;
  const Collected c = alone(g);
  ASSERT_EQ(c.logprobs.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(c.logprobs[i].chosen.id, c.ids[i]);
    EXPECT_LE(c.logprobs[i].chosen.logprob, 0);
    ASSERT_EQ(c.logprobs[i].top.size(), 3u);
    EXPECT_GE(c.logprobs[i].top[0].logprob, c.logprobs[i].top[1].logprob);
  }
}

TEST(Runner, AFullQueueRefusesWithBusyAndTheRestIsAnswered) {
  engine::LoadedModel model = fake_loaded_model();
  FakeCache cache(64);
  RunnerOptions options{"n", "m", {}};
  options.batch.pages = 64;
  options.batch.max_sequences = 2;
  options.batch.queue.length = 3;
  Runner runner(model, cache, options);
  std::map<uint64_t, Collected> got;
  std::vector<Output> out;
  for (uint64_t id = 1; id <= 6; ++id) runner.submit({id, generation(id), "t", 0, false}, 0, out);
  while (runner.step(0, {}, out) > 0) {}
  collect(out, got);
  int busy = 0;
  for (uint64_t id = 1; id <= 6; ++id) {
    EXPECT_EQ(got.at(id).terminal, 1);
    busy += got.at(id).finish.empty() && got.at(id).error.code == Code::Busy;
  }
  EXPECT_EQ(busy, 3);
}

// Promises: R1.
TEST(Runner, SixtyFourStreamsWithRandomCancelsLeakNothing) {
  Rig rig(60);
  Random random(7);
  std::map<uint64_t, Collected> expected;
  std::vector<uint64_t> live;
  for (uint64_t id = 1; id <= 64; ++id) {
    const Generation g = generation(id % 9, static_cast<int>(1 + random.below(200)), static_cast<int>(1 + random.below(60)));
    expected[id] = alone(g);
    rig.submit(id, g);
    live.push_back(id);
  }
  std::map<uint64_t, bool> cancelled;
  while (rig.step() > 0) {
    rig.runner.batch().check();
    if (!random.chance(0.4) || live.empty()) continue;
    const size_t i = random.below(live.size());
    cancelled[live[i]] = true;
    rig.runner.cancel(live[i]);
    live.erase(live.begin() + static_cast<ptrdiff_t>(i));
  }
  EXPECT_TRUE(rig.runner.batch().empty());
  EXPECT_EQ(rig.runner.batch().pages().held(), 0);
  int survivors = 0;
  for (uint64_t id = 1; id <= 64; ++id) {
    if (cancelled.contains(id)) continue;
    ++survivors;
    EXPECT_EQ(rig.got.at(id).text(), expected.at(id).text()) << id;
    EXPECT_EQ(rig.got.at(id).terminal, 1);
  }
  EXPECT_GT(survivors, 5);
}

// An answer of thought, text and calls: ids with text, and Parts. A client of an answer that
// another node goes on with gets the same pieces, wherever the first one stopped.
TEST(RunnerTest, PiecesOfAResumedAnswerAreTheSame) {
  engine::tools::AnswerForm form;
  const engine::tools::Thought thought{"(", ")", {}};
  form.thought = &thought;
  form.inside = true;
  form.parallel = false;
  form.syntax = &engine::tools::generic_syntax();
  form.functions = {
      {"f",
       R"({"type":"object","properties":{"a":{"type":"string","maxLength":5},"b":{"type":"integer","minimum":0,"maximum":99}},"required":["a"],"additionalProperties":false})",
       ""}};
  form.required = true;
  const engine::LoadedModel model = fake_loaded_model();
  Grammars grammars(model);
  const auto envelope = engine::tools::answer_envelope(form);
  ASSERT_TRUE(envelope.ok());
  auto grammar = grammars.find(*envelope);
  ASSERT_TRUE(grammar.ok()) << grammar.error().message;
  const auto answer = [&](uint64_t seed, std::vector<int32_t> resume) {
    FakeCache cache(200);
    RunnerOptions options;
    options.batch.pages = 200;
    Runner runner(model, cache, std::move(options));
    Runner::Job job;
    job.id = 1;
    job.generation = generation(seed, 10, 160);
    job.generation.sampling.logit_bias.emplace_back(')', 5.0f);  // so that thoughts end
    job.generation.grammar = *grammar;
    job.generation.parser = engine::tools::answer_parser(form);
    job.generation.call_id = [](size_t index, std::string_view) {
      return "call_" + std::to_string(index);
    };
    job.generation.resume = std::move(resume);
    std::vector<Output> out;
    runner.submit(std::move(job), 0, out);
    while (runner.step(0, {}, out) > 0) {}
    return out;
  };
  const auto shown = [](const Output& output) -> std::string {
    if (const auto* token = std::get_if<protocol::Token>(&output.event))
      return token->text.empty() ? "" : "T" + token->text;
    if (const auto* part = std::get_if<protocol::Part>(&output.event))
      return json::serialize(part->value);
    if (const auto* end = std::get_if<protocol::End>(&output.event))
      return "E" + end->finish_reason;
    return "";
  };
  int called = 0;
  for (uint64_t seed = 1; seed < 4; ++seed) {
    const std::vector<Output> whole = answer(seed, {});
    std::string all;
    for (const Output& output : whole) all += shown(output);
    called += all.find("Etool_calls") != std::string::npos;
    EXPECT_EQ(all.find("<tool"), std::string::npos) << all;
    std::vector<int32_t> ids;
    size_t parts = 0;
    std::string had;
    for (const Output& stop : whole) {
      if (protocol::terminal(stop.event)) break;
      if (const auto* token = std::get_if<protocol::Token>(&stop.event))
        ids.insert(ids.end(), token->ids.begin(), token->ids.end());
      parts += std::holds_alternative<protocol::Part>(stop.event);
      had += shown(stop);
      std::string resumed = had;
      size_t skipped = 0;
      for (const Output& output : answer(seed, ids)) {
        if (std::holds_alternative<protocol::Part>(output.event) && skipped++ < parts) continue;
        resumed += shown(output);
      }
      ASSERT_EQ(resumed, all) << "after " << had;
    }
  }
  EXPECT_GT(called, 1);
}

}  // namespace
}  // namespace verge::worker
