#include "accounts/neurons.h"

#include <gtest/gtest.h>

#include "accounts/quota.h"
#include "catalogue/catalogue.h"

namespace verge::accounts {
namespace {

using protocol::Usage;

double neurons_of(const std::vector<catalogue::Price>& prices, const Usage& usage) { return static_cast<double>(neurons(prices, usage)) / kMicro; }

TEST(Neurons, OfTokensByThePublishedPrices) {
  const std::vector<catalogue::Price> llama{{"per M input tokens", 0.027}, {"per M output tokens", 0.201}};
  EXPECT_NEAR(neurons_of(llama, {.prompt_tokens = 1'000'000}), 0.027 / 0.011 * 1000, 1e-6);
  EXPECT_NEAR(neurons_of(llama, {.completion_tokens = 1'000'000}), 0.201 / 0.011 * 1000, 1e-6);
  EXPECT_EQ(neurons(llama, {.prompt_tokens = 7, .completion_tokens = 3}), 17'182 + 54'818);
  // A model seen live: 587 tokens at $0.24 a million were "12.81".
  EXPECT_NEAR(neurons_of({{"per M input tokens", 0.24}}, {.prompt_tokens = 587}), 12.81, 0.005);
}

TEST(Neurons, CachedTokensHaveTheirPriceWhereOneIsPublished) {
  const Usage usage{.prompt_tokens = 1000, .cached_tokens = 400};
  EXPECT_NEAR(neurons_of({{"per M input tokens", 1.4}, {"per M cached input tokens", 0.26}}, usage), (600 * 1.4 + 400 * 0.26) / 1e6 / kNeuronUsd, 1e-6);
  EXPECT_NEAR(neurons_of({{"per M input tokens", 1.4}}, usage), 1000 * 1.4 / 1e6 / kNeuronUsd, 1e-6);
}

TEST(Neurons, OfSoundAndPictures) {
  EXPECT_NEAR(neurons_of({{"per audio minute", 0.0005}}, {.completion_tokens = 99, .audio_ms = 90'000}), 0.00075 / kNeuronUsd, 1e-6);
  EXPECT_NEAR(neurons_of({{"per inference request", 2.5e-6}}, {.images = 1}), 2.5e-6 / kNeuronUsd, 1e-6);
  EXPECT_NEAR(neurons_of({{"per inference request", 2.5e-6}}, {}), 2.5e-6 / kNeuronUsd, 1e-6) << "a request is one, whatever is counted";
  // flux-1-schnell, 1024 x 1024 in 4 steps, as seen live: 172.80.
  EXPECT_NEAR(neurons_of({{"per 512 by 512 tile", 0.0000528}, {"per step", 0.0001056}}, {.tiles = 4, .steps = 4}), 172.80, 1e-6);
  EXPECT_NEAR(neurons_of({{"per 1k characters", 0.015}}, {.characters = 2000}), 2 * 1363.636364, 1e-5);
}

TEST(Neurons, NothingWithoutAPrice) {
  EXPECT_EQ(neurons({}, {.prompt_tokens = 1'000'000}), 0);
  EXPECT_EQ(neurons({{"per quarter moon", 3}}, {.prompt_tokens = 1}), 0);
}

// What the catalogue names must be counted, or a model would be free by a slip of the pen.
TEST(Neurons, EveryUnitOfTheCatalogueIsKnownAndEveryTaskHasAPrice) {
  auto catalogue = catalogue::Catalogue::load({});
  ASSERT_TRUE(catalogue);
  const protocol::Usage everything{.prompt_tokens = 2'000'000, .completion_tokens = 1'000'000, .cached_tokens = 1'000'000, .audio_ms = 60'000,
                                   .images = 1, .tiles = 1, .steps = 1, .characters = 1'000};
  for (const catalogue::Entry* entry : catalogue->all())
    for (const catalogue::Price& price : entry->prices)
      EXPECT_GT(neurons({{price.unit, 1}}, everything), 0) << entry->id << ": " << price.unit;
  for (const catalogue::Entry* entry : catalogue->all())
    EXPECT_GT(neurons(catalogue->prices(*entry), {.prompt_tokens = 1'000'000, .completion_tokens = 1'000'000, .audio_ms = 60'000, .images = 1, .characters = 1'000}), 0) << entry->id;
}

TEST(Neurons, TheMostRequestsAMinuteAreTheModelsOrItsTasks) {
  auto catalogue = catalogue::Catalogue::load({});
  ASSERT_TRUE(catalogue);
  EXPECT_EQ(catalogue->requests_per_minute(*catalogue->find("@cf/meta/llama-3.2-1b-instruct")), 300);
  EXPECT_EQ(catalogue->requests_per_minute(*catalogue->find("@cf/baai/bge-large-en-v1.5")), 1500);
  EXPECT_EQ(catalogue->requests_per_minute(*catalogue->find("@cf/baai/bge-small-en-v1.5")), 3000);
}

}  // namespace
}  // namespace verge::accounts
