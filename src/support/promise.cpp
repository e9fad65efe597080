#include "support/promise.h"

#include <atomic>
#include <cstring>

#include "support/log.h"

namespace verge {
namespace {

constexpr int kMostLines = 1'000;  // of the log, in a process's life: a step runs thousands of times a second

void tell(const char* promise, const char* condition, const char* file, int line) {
  static std::atomic<int> told = 0;
  if (told.fetch_add(1) >= kMostLines) return;
  const char* name = std::strrchr(file, '/');
  log::error("a promise is broken: this is a fault of Verge, please report it",
             {{"promise", promise}, {"condition", condition}, {"file", name ? name + 1 : file}, {"line", line}});
}

}  // namespace

bool promise_broken(const char* promise, const char* condition, const char* file, int line) {
  tell(promise, condition, file, line);
  return false;
}

}  // namespace verge
