// MiniLM's trained weights in half and eight-bit storage: how far its vectors are from those of f32, on every instruction set. Skipped where
// the model is not on this machine (`verge pull @verge/all-minilm-l6-v2`).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "engine/open.h"
#include "engine/formats/quantize.h"
#include "engine/models/bert/bert.h"
#include "engine/models/open.h"
#include "tests/engine/instruction_sets.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTexts[] = {"A river runs by the old garden.", "Which city is the capital of Norway?", "the", "Invoices of last year's third quarter, sorted by customer and by date of payment",
                                  "def mean(values): return sum(values) / len(values)", "Der Hund schläft unter dem Tisch, während es regnet."};

std::string minilm() {
  fs::path folder;
  if (const char* models = std::getenv("VERGE_MODELS")) folder = models;
  else if (const char* cache = std::getenv("XDG_CACHE_HOME")) folder = fs::path(cache) / "verge" / "models";
  else if (const char* home = std::getenv("HOME")) folder = fs::path(home) / ".cache" / "verge" / "models";
  folder /= "@verge/all-minilm-l6-v2";
  return fs::exists(folder / "model.safetensors") ? folder.string() : "";
}

// The linear layers' weights in another type; `storage` keeps their bytes.
std::shared_ptr<ModelFile> stored_as(const ModelFile& file, DType type, std::vector<std::vector<std::byte>>& storage) {
  auto out = std::make_shared<ModelFile>(file);
  for (auto& [name, tensor] : out->tensors) {
    if (tensor.rank != 2 || !name.starts_with("blk.") || !name.ends_with(".weight")) continue;
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    dequantize(tensor, 0, tensor.elements(), values.data());
    storage.push_back(quantize(type, values));
    tensor.type = type;
    tensor.data = storage.back().data();
    tensor.bytes = storage.back().size();
  }
  return out;
}

std::vector<std::vector<float>> vectors(const LoadedEncoder& loaded, Encoder& model) {
  std::vector<std::vector<float>> out;
  for (const char* text : kTexts) {
    const auto tokens = loaded.tokens_of(text);
    const EncoderText one{tokens.ids, 0};
    std::vector<float> hidden(tokens.ids.size() * static_cast<size_t>(model.info().width));
    model.encode({&one, 1}, hidden.data());
    out.emplace_back(static_cast<size_t>(model.info().width));
    pool(hidden.data(), static_cast<int>(tokens.ids.size()), model.info().width, Pooling::Mean, true, out.back().data());
  }
  return out;
}

struct Storage {
  DType type;
  double cosine;  // at least, of each text
};

TEST(EncoderStorage, VectorsStayNearThoseOfF32) {
  const std::string path = minilm();
  if (path.empty()) GTEST_SKIP() << "all-MiniLM-L6-v2 is not on this machine";
  auto file = open_model_file(path);
  ASSERT_TRUE(file) << file.error().message;
  for (const char* isa : instruction_sets()) {
    auto backend = make_cpu_backend({2, isa});
    ASSERT_TRUE(backend.ok()) << backend.error().message;
    auto exact = open_as<LoadedEncoder>(path, **backend, {Precision::F32, KvType::F16, {}});
    ASSERT_TRUE(exact) << exact.error().message;
    const auto wanted = vectors(*exact, *exact->model);
    for (const auto& [type, least] : {Storage{DType::F16, 0.9999}, Storage{DType::BF16, 0.9999}, Storage{DType::Q8_0, 0.999}}) {
      std::vector<std::vector<std::byte>> storage;
      auto model = load_bert(stored_as(**file, type, storage), **backend, {Precision::Native, {}});
      ASSERT_TRUE(model) << model.error().message;
      EXPECT_EQ(storage.size(), 6u * 6u);
      const auto got = vectors(*exact, **model);
      double worst = 1;
      for (size_t i = 0; i < wanted.size(); ++i) {
        double cosine = 0;
        for (size_t k = 0; k < wanted[i].size(); ++k) cosine += double{wanted[i][k]} * got[i][k];
        EXPECT_GE(cosine, least) << isa << " " << info(type).name << ": " << kTexts[i];
        worst = std::min(worst, cosine);
      }
      std::printf("%s %s: the least cosine is %.6f\n", isa, info(type).name, worst);
    }
  }
}

}  // namespace
}  // namespace verge::engine
