// The whole inner path on a real model (260,000 parameters, in tests/data): file, tokenizer, batch, kernels,
// sampling, text. What the other tests show of scheduling with arithmetic is shown here of real bits.
#include "worker/host.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "support/json.h"
#include "worker/runner.h"
#include "tests/paths.h"

namespace verge::worker {
namespace {

Host& stories() {
  static std::unique_ptr<Host> host = [] {
    HostOptions options;
    options.path = std::string(verge::test_data_folder()) + "/models/stories260K/stories260K-f32.gguf";
    options.threads = 2;
    auto opened = open_host(options);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }();
  return *host;
}

struct Got {
  std::vector<int32_t> ids;
  std::vector<std::string> parts;
  std::string finish;
  std::string text() const {
    std::string out;
    for (const auto& p : parts) out += p;
    return out;
  }
};

Generation generation(Host& host, const std::string& prompt, uint64_t seed, int max_tokens, double temperature) {
  protocol::TextParameters params;
  params.prompt = prompt;
  params.raw = true;
  params.max_tokens = max_tokens;
  params.temperature = temperature;
  Grammars grammars(host.model);
  auto g = prepare_generation(params, {"", seed, {}}, host.model, grammars, host.context_tokens, 0);
  EXPECT_TRUE(g) << g.error().message;
  return *g;
}

// Runs all jobs together; `pages` of the cache, rows and sequences as given.
std::map<uint64_t, Got> run(Host& host, const std::map<uint64_t, Generation>& jobs, int pages, int rows, int sequences, uint64_t* preemptions = nullptr) {
  RunnerOptions options{"n", "stories", {}};
  auto cache = host.model.model->make_kv_cache(pages, engine::KvType::F16);
  EXPECT_TRUE(cache);
  options.batch.pages = pages;
  options.batch.max_rows = rows;
  options.batch.max_sequences = sequences;
  options.threads = dynamic_cast<engine::HostThreads*>(host.backend.get());
  Runner runner(host.model, **cache, options);
  std::vector<Output> out;
  for (const auto& [id, g] : jobs) runner.submit({id, g, "t", 0, false}, 0, out);
  while (runner.step(0, {.prompts = rows}, out) > 0) runner.batch().check();
  EXPECT_EQ(runner.batch().pages().held(), 0);
  if (preemptions) *preemptions = runner.batch().preemptions();
  std::map<uint64_t, Got> got;
  for (const Output& o : out) {
    if (const auto* token = std::get_if<protocol::Token>(&o.event)) {
      Got& g = got[o.id];
      g.ids.insert(g.ids.end(), token->ids.begin(), token->ids.end());
      g.parts.push_back(token->text);
    } else if (const auto* end = std::get_if<protocol::End>(&o.event)) {
      got[o.id].finish = end->finish_reason;
    } else if (const auto* failure = std::get_if<protocol::Failure>(&o.event)) {
      ADD_FAILURE() << failure->error.message;
    }
  }
  return got;
}
Got alone(Host& host, const Generation& g) { return run(host, {{1, g}}, 40, 512, 64).at(1); }

// The file that $VERGE_TEST_MODEL names, for the same tests on trained weights of a useful size; else the stories model.
Host& model_under_test() {
  const char* path = std::getenv("VERGE_TEST_MODEL");
  if (!path) return stories();
  static std::unique_ptr<Host> host = [path] {
    HostOptions options;
    options.path = path;
    auto opened = open_host(options);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }();
  return *host;
}

TEST(StoriesModel, GreedyTextIsTheReferences) {
  std::ifstream file(std::string(verge::test_data_folder()) + "/expected/stories260K.json");
  std::stringstream text;
  text << file.rdbuf();
  const auto parsed = parse_json(text.str());
  ASSERT_TRUE(parsed);
  for (const json::value& r : parsed->as_array()) {
    const std::string prompt(r.at("prompt").as_string());
    const Generation g = generation(stories(), prompt, 0, static_cast<int>(r.at("ids").as_array().size()), 0);
    EXPECT_EQ(g.prompt, json::value_to<std::vector<int32_t>>(r.at("prompt_ids")));
    const Got got = alone(stories(), g);
    EXPECT_EQ(got.ids, json::value_to<std::vector<int32_t>>(r.at("ids"))) << prompt;
    EXPECT_EQ(got.text(), std::string(r.at("text").as_string())) << prompt;
  }
}

std::map<uint64_t, Generation> crowd(Host& host, int count, int max_tokens) {
  const char* prompts[] = {"Once upon a time", "The dog ran", "Lily and Tom went to the park. They saw a big tree and", "One day, a little girl"};
  std::map<uint64_t, Generation> jobs;
  for (int i = 0; i < count; ++i) jobs[static_cast<uint64_t>(i)] = generation(host, prompts[i % 4], static_cast<uint64_t>(i), max_tokens, 0.9);
  return jobs;
}

TEST(AnyModel, TheSameSeedGivesTheSameBytesAtAnyBatchSize) {
  Host& host = model_under_test();
  const auto jobs = crowd(host, 9, 20);
  std::map<uint64_t, Got> expected;
  for (const auto& [id, g] : jobs) expected[id] = alone(host, g);
  for (const auto& [rows, sequences] : {std::pair{3, 2}, {16, 5}, {512, 64}}) {
    const auto got = run(host, jobs, 200, rows, sequences);
    for (const auto& [id, g] : jobs) {
      EXPECT_EQ(got.at(id).ids, expected.at(id).ids) << "answer " << id << ", " << rows << " rows";
      EXPECT_EQ(got.at(id).text(), expected.at(id).text());
    }
  }
}

TEST(AnyModel, PreemptionChangesNoByte) {
  Host& host = model_under_test();
  const auto jobs = crowd(host, 5, 60);
  uint64_t preemptions = 0;
  const auto got = run(host, jobs, 5, 512, 64, &preemptions);
  EXPECT_GT(preemptions, 0u);
  for (const auto& [id, g] : jobs) EXPECT_EQ(got.at(id).ids, alone(host, g).ids) << id;
}

// After a replay of N tokens (a prefill) comes exactly what came after N decode steps.
TEST(AnyModel, AResumeAtEverySplitContinuesAtTheExactByte) {
  Host& host = model_under_test();
  Generation g = generation(host, "Once upon a time", 11, 32, 0.9);
  g.stop = {"zebra"};
  const Got whole = alone(host, g);
  std::map<uint64_t, Generation> rests;
  for (size_t n = 0; n <= whole.ids.size(); ++n) {
    rests[n] = g;
    rests[n].resume.assign(whole.ids.begin(), whole.ids.begin() + static_cast<ptrdiff_t>(n));
  }
  const auto got = run(host, rests, 400, 512, 64);
  for (size_t n = 0; n <= whole.ids.size(); ++n) {
    const Got& rest = got.at(n);
    EXPECT_EQ(rest.ids, std::vector<int32_t>(whole.ids.begin() + static_cast<ptrdiff_t>(n), whole.ids.end())) << n;
    std::string expected;
    for (size_t i = n; i < whole.parts.size(); ++i) expected += whole.parts[i];
    EXPECT_EQ(rest.text(), expected) << n;
    EXPECT_EQ(rest.finish, whole.finish);
  }
}

TEST(Host, ADamagedFileIsALoadError) {
  HostOptions options;
  options.path = std::string(verge::test_data_folder()) + "/expected/stories260K.json";
  const auto opened = open_host(options);
  ASSERT_FALSE(opened);
  EXPECT_FALSE(opened.error().message.empty());
}

}  // namespace
}  // namespace verge::worker
