#include "engine/speech/hypothesis_pages.h"

#include <cassert>

#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr int kPageTokens = limits::kPageTokens;
int pages_for(int tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace

HypothesisPages::HypothesisPages(int pages) : users_(static_cast<size_t>(pages)) {
  for (int32_t page = pages - 1; page >= 0; --page) free_.push_back(page);
}

int32_t HypothesisPages::take() {
  assert(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  users_[static_cast<size_t>(page)] = 1;
  return page;
}

std::vector<int32_t> HypothesisPages::make(int tokens) {
  std::vector<int32_t> table;
  grow(&table, tokens);
  return table;
}

void HypothesisPages::release(std::vector<int32_t>* table) {
  for (int32_t page : *table) {
    if (--users_[static_cast<size_t>(page)] == 0) free_.push_back(page);
  }
  table->clear();
}

void HypothesisPages::grow(std::vector<int32_t>* table, int tokens) {
  while (static_cast<int>(table->size()) < pages_for(tokens)) table->push_back(take());
}

std::vector<int32_t> HypothesisPages::fork(const std::vector<int32_t>& table, int tokens, std::vector<std::pair<int32_t, int32_t>>* copies) {
  const auto whole = static_cast<size_t>(tokens / kPageTokens);
  std::vector<int32_t> copy(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(whole));
  for (int32_t page : copy) ++users_[static_cast<size_t>(page)];
  if (tokens % kPageTokens != 0) {
    copy.push_back(take());
    copies->emplace_back(table[whole], copy.back());
  }
  return copy;
}

}  // namespace verge::engine
