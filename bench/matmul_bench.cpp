// Speed of linear layers by weight type and number of rows, one object a line:
//   {"type":"Q4_0","rows":8,"threads":1,"gop_per_s":…,"weights_gb_per_s":…}
// Enough matrices are cycled through that weights come from memory. With one thread the time is the thread's own
// processor time, so a busy machine disturbs less; with more it is the wall clock.
//
//   matmul_bench [--threads N] [--isa NAME] [--in N] [--out N] [--megabytes N] [--types Q4_0,Q8_0,…] [--rows 1,8,…]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/quantize.h"

namespace {

using namespace verge::engine;

double now(bool own_time) {
  timespec t;
  clock_gettime(own_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  BackendOptions options{1, ""};
  int64_t in = 2048, out = 2048, megabytes = 128;
  std::string types = "F32,F16,BF16,Q4_0,Q4_1,Q5_0,Q5_1,Q8_0,Q4_K,Q5_K,Q6_K", rows = "1,2,4,8,16,32,128,512";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--threads") options.threads = std::atoi(value.c_str());
    if (name == "--isa") options.isa = value;
    if (name == "--in") in = std::atoll(value.c_str());
    if (name == "--out") out = std::atoll(value.c_str());
    if (name == "--megabytes") megabytes = std::atoll(value.c_str());
    if (name == "--types") types = value;
    if (name == "--rows") rows = value;
  }
  auto backend = make_cpu_backend(options);
  if (!backend) return std::fprintf(stderr, "%s\n", backend.error().message.c_str()), 1;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(static_cast<size_t>(16 * in)), x(static_cast<size_t>(512 * in)), y(static_cast<size_t>(512 * out));
  for (float& value : values) value = normal(random) * 0.05f;
  for (float& value : x) value = normal(random);
  const bool own_time = options.threads == 1;

  for (int t = 0; t <= static_cast<int>(DType::Q6_K); ++t) {
    const DType type = static_cast<DType>(t);
    const auto wanted = split(types);
    if (std::find(wanted.begin(), wanted.end(), info(type).name) == wanted.end() || in % info(type).block) continue;
    const std::vector<std::byte> sixteen = quantize(type, values);
    std::vector<std::byte> bytes;
    for (int64_t row = 0; row < out; row += 16) bytes.insert(bytes.end(), sixteen.begin(), sixteen.end());
    TensorView view;
    view.type = type;
    view.rank = 2;
    view.shape = {out, in, 1, 1};
    view.data = bytes.data();
    view.bytes = bytes.size();
    std::vector<std::unique_ptr<Matrix>> matrices;
    const double load_start = now(false);
    size_t held = 0;
    do {
      auto matrix = (*backend)->pack(view, Precision::Native);
      if (!matrix) return std::fprintf(stderr, "%s\n", matrix.error().message.c_str()), 1;
      held += (*matrix)->bytes;
      matrices.push_back(std::move(*matrix));
    } while (held < static_cast<size_t>(megabytes) << 20);
    const double load_s = now(false) - load_start;
    std::printf("{\"type\":\"%s\",\"pack_gb_per_s\":%.2f}\n", info(type).name, 1e-9 * static_cast<double>(matrices.size() * bytes.size()) / load_s);

    for (const std::string& text : split(rows)) {
      const int n = std::min(std::atoi(text.c_str()), 512);
      double best = 1e30;
      for (int repeat = 0; repeat < 5; ++repeat) {
        // About 50 ms of work, at most one pass over the matrices.
        const double work = static_cast<double>(n) * static_cast<double>(in * out);
        const size_t count = std::clamp<size_t>(static_cast<size_t>(8e9 / work), 1, matrices.size());
        const double start = now(own_time);
        for (size_t m = 0; m < count; ++m) {
          const LinearOutput output{matrices[(m + static_cast<size_t>(repeat) * count) % matrices.size()].get(), nullptr, y.data(), false};
          (*backend)->linear(x.data(), n, {}, {&output, 1});
        }
        best = std::min(best, (now(own_time) - start) / static_cast<double>(count));
      }
      std::printf("{\"type\":\"%s\",\"rows\":%d,\"threads\":%d,\"us\":%.1f,\"gop_per_s\":%.1f,\"weights_gb_per_s\":%.1f}\n", info(type).name, n,
                  (*backend)->threads(), best * 1e6, 2e-9 * n * static_cast<double>(in * out) / best, 1e-9 * static_cast<double>(matrices[0]->bytes) / best);
      std::fflush(stdout);
    }
  }
}
