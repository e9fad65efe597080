// The official suite of JSON Schema, a part of it: tests/data/json-schema-test-suite/README.md. A case is right, refused with
// its schema, too narrow (a valid value is not admitted) or too wide, which none may be.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "byte_tokenizer.h"
#include "engine/grammar/grammar.h"
#include "support/json.h"
#include "tests/paths.h"

namespace verge::engine::grammar {
namespace {

TEST(Suite, NothingIsTooWideAndMostIsRight) {
  const testing::ByteTokenizer tokenizer;
  const TokenBytes tokens(tokenizer, {0}, tokenizer.vocabulary());
  int right = 0, refused = 0, narrow = 0, total = 0;
  for (const auto& file : std::filesystem::directory_iterator(std::string(test_data_folder()) + "/json-schema-test-suite/draft2020-12")) {
    std::ifstream in(file.path());
    std::stringstream text;
    text << in.rdbuf();
    const auto groups = parse_json(text.str());
    ASSERT_TRUE(groups) << file.path();
    for (const json::value& group : groups->as_array()) {
      auto g = Grammar::compile(SourceKind::JsonSchema, json::serialize(group.at("schema")), tokens);
      for (const json::value& test : group.at("tests").as_array()) {
        ++total;
        if (!g) {
          ++refused;
          continue;
        }
        const std::string value = json::serialize(test.at("data"));
        Matcher at = (*g)->start(false);
        bool admitted = true;
        for (int32_t id : tokenizer.encode(value, {})) admitted = admitted && (*g)->advance(at, id);
        admitted = admitted && (*g)->complete(at);
        const bool valid = test.at("valid").as_bool();
        EXPECT_FALSE(admitted && !valid) << file.path() << ": " << group.at("description") << ": " << test.at("description");
        if (admitted == valid) ++right;
        else ++narrow;
      }
    }
  }
  EXPECT_GT(total, 700);
  EXPECT_GE(right, total * 85 / 100) << refused << " refused, " << narrow << " too narrow of " << total;
  EXPECT_LE(narrow, 22);
}

}  // namespace
}  // namespace verge::engine::grammar
