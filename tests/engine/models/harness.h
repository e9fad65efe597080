// What the model tests share: a model loaded from a file of tests/data, and sequences run through it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/model_file.h"
#include "engine/model.h"
#include "engine/models/open.h"
#include "engine/models/table.h"
#include "support/json.h"
#include "support/limits.h"
#include "tests/engine/instruction_sets.h"
#include "tests/paths.h"

namespace verge::engine {

inline std::string test_data(const std::string& path) { return std::string(verge::test_data_folder()) + "/" + path; }

inline json::value read_json(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path;
  std::stringstream text;
  text << in.rdbuf();
  return json::parse(text.str());
}

template <class T>
std::vector<T> numbers(const json::value& list) {
  std::vector<T> out;
  for (const json::value& x : list.as_array()) out.push_back(x.to_number<T>());
  return out;
}

inline int32_t argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// A model with a cache of its own. Sequences get pages from different ends, so that no table is 0, 1, 2 ….
class Runner {
 public:
  // Null (and a failed expectation) where it can't be loaded.
  static std::unique_ptr<Runner> load(const std::string& path, Precision precision, KvType type, const BackendOptions& options = {1, ""}, int pages = 64) {
    auto runner = std::make_unique<Runner>();
    auto backend = make_cpu_backend(options);
    if (!backend) return ADD_FAILURE() << backend.error().message, nullptr;
    runner->backend = std::move(*backend);
    auto file = open_model_file(path);
    if (!file) return ADD_FAILURE() << file.error().message, nullptr;
    auto architecture = find_architecture(**file);
    if (!architecture) return ADD_FAILURE() << architecture.error().message, nullptr;
    auto model = (*architecture)->load(*file, *runner->backend, {precision, {}});
    if (!model) return ADD_FAILURE() << model.error().message, nullptr;
    runner->model = std::move(*model);
    auto cache = runner->model->make_kv_cache(pages, type);
    if (!cache) return ADD_FAILURE() << cache.error().message, nullptr;
    runner->cache = std::move(*cache);
    for (int i = 0; i < pages; ++i) runner->free.push_back(i % 2 ? pages - 1 - i / 2 : i / 2);
    return runner;
  }

  struct Sequence {
    std::vector<int32_t> tokens;   // run and to run
    int position = 0;              // tokens run
    std::vector<int32_t> pages;
    std::vector<std::vector<float>> logits;  // of each position that asked for them
  };

  // Runs the next rows[i] tokens of sequences[i]; every row's logits are kept.
  void step(const std::vector<Sequence*>& sequences, const std::vector<int>& rows) {
    std::vector<StepSequence> parts;
    size_t wanted = 0;
    for (size_t i = 0; i < sequences.size(); ++i) {
      Sequence& s = *sequences[i];
      while (static_cast<int>(s.pages.size()) * limits::kPageTokens < s.position + rows[i]) {
        s.pages.push_back(free.back());
        free.pop_back();
      }
      parts.push_back({std::span(s.tokens).subspan(static_cast<size_t>(s.position), static_cast<size_t>(rows[i])), s.position, s.pages, rows[i],
                       static_cast<int>(s.tokens.size())});
      wanted += static_cast<size_t>(rows[i]);
    }
    const size_t width = static_cast<size_t>(model->info().vocabulary);
    std::vector<float> logits(wanted * width);
    model->forward(parts, *cache, logits.data());
    size_t row = 0;
    for (size_t i = 0; i < sequences.size(); ++i) {
      for (int k = 0; k < rows[i]; ++k, ++row) sequences[i]->logits.emplace_back(logits.begin() + row * width, logits.begin() + (row + 1) * width);
      sequences[i]->position += rows[i];
    }
  }

  // All tokens in chunks of at most `chunk`; logits of each position.
  std::vector<std::vector<float>> logits_of(const std::vector<int32_t>& tokens, int chunk = limits::kBatchTokens) {
    Sequence s{tokens, 0, {}, {}};
    while (s.position < static_cast<int>(tokens.size())) step({&s}, {std::min(chunk, static_cast<int>(tokens.size()) - s.position)});
    free.insert(free.end(), s.pages.begin(), s.pages.end());
    return std::move(s.logits);
  }

  std::vector<int32_t> greedy(const std::vector<int32_t>& prompt, int count) {
    Sequence s{prompt, 0, {}, {}};
    step({&s}, {static_cast<int>(prompt.size())});
    std::vector<int32_t> out{argmax(s.logits.back())};
    while (static_cast<int>(out.size()) < count) {
      s.tokens.push_back(out.back());
      step({&s}, {1});
      out.push_back(argmax(s.logits.back()));
    }
    free.insert(free.end(), s.pages.begin(), s.pages.end());
    return out;
  }

  std::unique_ptr<Backend> backend;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<KvCache> cache;
  std::vector<int32_t> free;
};

}  // namespace verge::engine
