// Speed of lifting a byte array out of a JSON body: {"test":"array|array with spaces|indexed","mb_per_s":…} of the text.
#include <chrono>
#include <cstdio>
#include <string>

#include "api/byte_arrays.h"
#include "support/random.h"

int main() {
  constexpr size_t kBytes = 5 << 20;
  std::string array, spaced, indexed;
  for (size_t i = 0; i < kBytes; ++i) {
    const std::string number = std::to_string(verge::random_at(1, i) & 255), comma = i ? "," : "";
    array += comma + number;
    spaced += (i ? ", " : "") + number;
    indexed += comma + "\"" + std::to_string(i) + "\":" + number;
  }
  const struct {
    const char* name;
    std::string body;
  } cases[] = {{"array", "{\"image\":[" + array + "]}"}, {"array with spaces", "{\"image\":[" + spaced + "]}"}, {"indexed", "{\"image\":{" + indexed + "}}"}};
  for (const auto& one : cases) {
    double best = 1e9;
    for (int run = 0; run < 7; ++run) {
      const auto start = std::chrono::steady_clock::now();
      auto lifted = verge::api::lift_byte_arrays(one.body);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      if (!lifted || lifted->arrays.at(0).bytes.size() != kBytes) return std::puts("wrong"), 1;
    }
    std::printf("{\"test\":\"%s\",\"mb_per_s\":%.0f}\n", one.name, static_cast<double>(one.body.size()) / best / 1e6);
  }
}
