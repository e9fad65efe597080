// Who answers for an id whose weights are not here.
#include "node/resolve.h"

#include <gtest/gtest.h>

namespace verge::node {
namespace {

constexpr const char* kMiniLm = "@verge/all-minilm-l6-v2";

class ResolveTest : public testing::Test {
 protected:
  ResolveTest() {
    auto loaded = catalogue::Catalogue::load({});
    EXPECT_TRUE(loaded);
    catalogue_ = std::move(*loaded);
    options_.models_folder = "/nowhere";
    options_.stand_ins = true;
    options_.paths[kMiniLm] = "/m";
    installed_[kMiniLm] = {"/m", 1, "stamp"};
  }
  Result<Resolved> resolve(const char* id) { return resolve_model(catalogue_, options_, installed_, id); }

  catalogue::Catalogue catalogue_;
  ResolveOptions options_;
  Installations installed_;
};

TEST_F(ResolveTest, AnEmbedderOfTheSameWidthStandsIn) {
  auto model = resolve("@cf/baai/bge-small-en-v1.5");
  ASSERT_TRUE(model);
  EXPECT_EQ(model->id, kMiniLm);
  EXPECT_TRUE(model->substituted);
}

TEST_F(ResolveTest, OneOfAnotherWidthOnlyWhereItIsNamed) {
  for (const char* id : {"@cf/baai/bge-base-en-v1.5", "@cf/baai/bge-m3", "@cf/google/embeddinggemma-300m"}) {
    auto refused = resolve(id);
    ASSERT_FALSE(refused) << id;
    EXPECT_EQ(refused.error().code, Code::ModelUnavailable);
    EXPECT_NE(refused.error().message.find(std::string("--stand-in ") + id + "=" + kMiniLm), std::string::npos) << refused.error().message;
    options_.named_stand_ins[id] = kMiniLm;
    auto model = resolve(id);
    ASSERT_TRUE(model) << id;
    EXPECT_EQ(model->id, kMiniLm);
    EXPECT_TRUE(model->substituted);
  }
}

TEST_F(ResolveTest, WhatIsOfferedIsWhatWouldBeAnswered) {
  bool small = false;
  for (const auto& [id, model] : offered_models(catalogue_, options_, installed_)) {
    EXPECT_NE(id, "@cf/baai/bge-base-en-v1.5");
    small = small || id == "@cf/baai/bge-small-en-v1.5";
  }
  EXPECT_TRUE(small);
}

TEST_F(ResolveTest, AModelThatWentIsMissed) {
  constexpr const char* kId = "@cf/baai/bge-small-en-v1.5";
  options_.stand_ins = false;
  EXPECT_EQ(resolve(kId).error().code, Code::ModelUnavailable);
  installed_[kId] = {"/there", 7, "stamp"};
  auto model = resolve(kId);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->files, installed_[kId]);
  installed_.erase(kId);
  EXPECT_FALSE(resolve(kId));
  installed_.clear();
  EXPECT_EQ(resolve(kMiniLm)->files.path, "/m") << "--model's own is asked for, there or not: the load says what is wrong";
}

}  // namespace
}  // namespace verge::node
