// Both kinds of checkpoint against the same weights in safetensors; a pickle that wants to run something; damage.
#include "engine/formats/torch_checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include <unistd.h>

#include "engine/formats/pickle.h"
#include "engine/formats/safetensors.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;
const fs::path kData = verge::test_data_folder();
const fs::path kResnet20 = kData / "models/resnet20-cifar10";
const fs::path kArchive = kData / "reference/images/resnet-first-stage/pytorch_model.bin";
const fs::path kOld = kData / "reference/images/resnet-in-bottleneck/pytorch_model.bin";

std::vector<std::byte> read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

std::span<const std::byte> bytes_of(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

using Owned = std::vector<std::shared_ptr<MappedFile>>;

std::vector<float> values_of(const TensorView& view) {
  std::vector<float> values(static_cast<size_t>(view.elements()));
  dequantize(view, 0, view.elements(), values.data());
  return values;
}

TEST(TorchCheckpoint, TheOlderFormHasTheSameWeightsAsSafetensors) {
  const auto old = read(kResnet20 / "resnet20-12fca82f.th"), safe = read(kResnet20 / "model.safetensors");
  Owned owned;
  const auto tensors = parse_torch_checkpoint(old, "old", &owned);
  ASSERT_TRUE(tensors.ok()) << tensors.error().message;
  const auto expected = parse_safetensors(safe, "safe");
  ASSERT_TRUE(expected.ok());
  const std::pair<const char*, const char*> same[] = {
      {"conv1.weight", "resnet.embedder.embedder.convolution.weight"},  // "module." was taken off
      {"bn1.running_var", "resnet.embedder.embedder.normalization.running_var"},
      {"layer1.0.conv1.weight", "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"},
      {"layer3.2.bn2.bias", "resnet.encoder.stages.2.layers.2.layer.1.normalization.bias"},
      {"linear.weight", "classifier.1.weight"},
  };
  for (const auto& [name, hub] : same) {
    const auto got = tensors->find(name), want = expected->find(hub);
    ASSERT_NE(got, tensors->end()) << name;
    ASSERT_NE(want, expected->end()) << hub;
    EXPECT_EQ(got->second.shape, want->second.shape) << name;
    EXPECT_EQ(values_of(got->second), values_of(want->second)) << name;
  }
}

TEST(TorchCheckpoint, ShapesAndTypesOfBothForms) {
  for (const fs::path& path : {kArchive, kOld}) {
    const auto bytes = read(path);
    Owned owned;
    const auto tensors = parse_torch_checkpoint(bytes, path.string(), &owned);
    ASSERT_TRUE(tensors.ok()) << tensors.error().message;
    const auto weight = tensors->find("classifier.1.weight");
    ASSERT_NE(weight, tensors->end());
    EXPECT_EQ(weight->second.rank, 2);
    EXPECT_EQ(weight->second.shape[0], 12);
    EXPECT_EQ(weight->second.type, DType::F32);
    const auto counter = tensors->find("resnet.embedder.embedder.normalization.num_batches_tracked");
    ASSERT_NE(counter, tensors->end());
    EXPECT_EQ(counter->second.type, DType::I64);
    EXPECT_EQ(counter->second.rank, 0);
  }
}

// cos\nsystem\n(S'…'\ntR. and its like: names are read, nothing is called.
TEST(TorchCheckpoint, NothingOfAPickleRuns) {
  const fs::path proof = fs::temp_directory_path() / fmt::format("verge-pickle-ran-{}", ::getpid());
  const std::string command = "touch " + proof.string();
  std::string pickle = "\x80\x02";
  pickle += "cos\nsystem\n";
  pickle += std::string("X") + static_cast<char>(command.size()) + std::string(3, '\0') + command + "\x85R.";
  const auto parsed = parse_pickle(bytes_of(pickle), "evil");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ((*parsed)[parsed->root].kind, PickleValue::Kind::Call);
  EXPECT_FALSE(fs::exists(proof));
}

TEST(Pickle, RefusesWhatItDoesNotKnowAndWhatEndsEarly) {
  using namespace std::string_view_literals;
  for (std::string_view text : {""sv, "\x80\x02"sv, "\x80\x02."sv, "\x80\x09N."sv, "(((("sv, "h\x05."sv, "R."sv, "X\xff\xff\xff\x7f"sv, "}X\x01\0\0\0as."sv, "t."sv, "cos\nsystem"sv, "I5\n."sv,
                                "\x94."sv, "]](e."sv}) {
    const auto parsed = parse_pickle(bytes_of(text), "bad");
    if (text == "]](e."sv) {
      EXPECT_TRUE(parsed.ok());  // an odd list, but one
      continue;
    }
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().code, Code::LoadFailed);
  }
}

// A list that holds itself, and lists in lists, a million deep: neither parsing nor freeing them may recurse.
TEST(Pickle, CyclesAndDepthCostNoStack) {
  using namespace std::string_view_literals;
  EXPECT_TRUE(parse_pickle(bytes_of("\x80\x02]q\0h\0a."sv), "cycle").ok());
  const std::string deep = "\x80\x02" + std::string(1'000'000, ']') + std::string(999'999, 'a') + ".";
  EXPECT_TRUE(parse_pickle(bytes_of(deep), "deep").ok());
}

TEST(TorchCheckpoint, DamageIsRefusedOrReadInBounds) {
  for (const fs::path& path : {kArchive, kOld}) {
    const auto bytes = read(path);
    std::mt19937 random(3);
    for (int round = 0; round < 400; ++round) {
      auto damaged = bytes;
      // Most of the file is weights: aim at the descriptions.
      const size_t window = round % 2 ? damaged.size() : std::min<size_t>(damaged.size(), 4096);
      for (int flips = 0; flips < 1 + round % 5; ++flips) {
        const size_t at = random() % window;
        damaged[round % 4 == 0 ? damaged.size() - 1 - at : at] = static_cast<std::byte>(random());
      }
      if (round % 7 == 0) damaged.resize(random() % damaged.size());
      Owned owned;
      const auto tensors = parse_torch_checkpoint(damaged, "damaged", &owned);
      if (!tensors.ok()) {
        EXPECT_EQ(tensors.error().code, Code::LoadFailed);
        continue;
      }
      for (const auto& [name, view] : *tensors) {
        const bool inside = view.data >= damaged.data() && view.data + view.bytes <= damaged.data() + damaged.size();
        bool copied = false;
        for (const auto& map : owned) copied = copied || (view.data >= map->bytes().data() && view.data + view.bytes <= map->bytes().data() + map->bytes().size());
        ASSERT_TRUE(inside || copied) << name;
      }
    }
  }
}

}  // namespace
}  // namespace verge::engine
