#include "commands/bench_image.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "engine/open.h"
#include "support/clock.h"
#include "support/random.h"

namespace verge::commands {
namespace {

constexpr int kBatches[] = {1, 8, 32};

void print(const ImageBench& options, const engine::Backend& backend, const char* test, int pictures, double ms) {
  const double rate = pictures * 1000 / ms;
  if (options.json)
    fmt::print(R"({{"test":"{}","tokens":0,"sequences":{},"tokens_per_s":0,"pictures_per_s":{:.2f},"p50_ms":{:.4f},"engine":"{}","threads":{}}})" "\n", test, pictures,
               rate, ms, backend.name(), backend.threads());
  else fmt::print("{:<8} {:>10} {:>12.1f} {:>10.3f}\n", test, pictures, rate, ms);
  std::fflush(stdout);
}

int complain(const Error& error) {
  std::fprintf(stderr, "verge bench: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int bench_image(const ImageBench& options) {
  const int64_t start = monotonic_us();
  auto backend = engine::make_cpu_backend({options.threads, ""});
  auto model = backend ? engine::open_as<std::unique_ptr<engine::ImageModel>>(options.path, **backend, {}) : Result<std::unique_ptr<engine::ImageModel>>(backend.error());
  if (!model) return complain(model.error());
  const engine::ImageModelInfo& info = (*model)->info();
  if (!options.json) fmt::print("{}, {} threads\n{:<8} {:>10} {:>12} {:>10}\n", (*backend)->name(), (*backend)->threads(), "TEST", "PICTURES", "PICTURES/S", "P50 MS");
  print(options, **backend, "load", 0, static_cast<double>(monotonic_us() - start) / 1000);
  const bool detects = info.task == "object-detection";
  const engine::Size size = info.preparation.fixed_size() ? engine::Size{info.preparation.output_width(), info.preparation.output_height()}
                                                          : shortest_edge_size(info.preparation, {640, 480});
  std::vector<uint8_t> rgb(static_cast<size_t>(size.width) * static_cast<size_t>(size.height) * 3);
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(random_at(7, i));
  for (int count : kBatches) {
    if (detects && count > 1) break;
    const std::vector<engine::Picture> pictures(static_cast<size_t>(count), {rgb.data(), size.width, size.height});
    std::vector<float> logits(info.labels.size() * pictures.size());
    std::vector<double> times;
    for (int run = 0; run <= options.repeat; ++run) {
      std::vector<engine::Detection> found;
      const int64_t begin = monotonic_us();
      const auto done = detects ? (*model)->detect(pictures[0], &found) : (*model)->classify(pictures, logits.data());
      if (!done) return complain(done.error());
      if (run > 0) times.push_back(static_cast<double>(monotonic_us() - begin) / 1000);
    }
    std::ranges::sort(times);
    print(options, **backend, "encode", count, times[times.size() / 2]);
  }
  return 0;
}

}  // namespace verge::commands
