#include "worker/pages.h"

#include <algorithm>
#include <cassert>

#include "support/random.h"

namespace verge::worker {

Pages::Pages(int count) : pages_(static_cast<size_t>(count)) {
  free_.reserve(pages_.size());
  for (int32_t page = count - 1; page >= 0; --page) free_.push_back(page);
}

int Pages::match(std::string_view tenant, std::span<const int32_t> tokens, int most_tokens, PageTable& table) {
  assert(table.pages.empty() && table.published == 0);
  const int most = std::min(most_tokens, static_cast<int>(tokens.size())) / limits::kPageTokens;
  uint64_t parent = 0;
  for (int i = 0; i < most; ++i) {
    const int32_t page = find(parent, tenant, tokens.subspan(static_cast<size_t>(i) * limits::kPageTokens, limits::kPageTokens));
    if (page < 0) break;
    acquire(page);
    table.pages.push_back(page);
    parent = pages_[page].serial;
  }
  table.published = static_cast<int>(table.pages.size());
  return table.published * limits::kPageTokens;
}

int Pages::extend(std::string_view tenant, std::span<const int32_t> tokens, int computed, int most_tokens, PageTable& table) {
  assert(computed == table.published * limits::kPageTokens);
  const int most = std::min({most_tokens, static_cast<int>(tokens.size()), static_cast<int>(table.pages.size()) * limits::kPageTokens}) / limits::kPageTokens;
  for (int i = table.published; i < most; ++i) {
    const uint64_t parent = i == 0 ? 0 : pages_[table.pages[i - 1]].serial;
    const int32_t page = find(parent, tenant, tokens.subspan(static_cast<size_t>(i) * limits::kPageTokens, limits::kPageTokens));
    if (page < 0) break;
    acquire(page);
    drop(table.pages[i]);
    table.pages[i] = page;
    ++table.published;
  }
  return table.published * limits::kPageTokens;
}

bool Pages::allocate(int count, PageTable& table) {
  if (count > available()) return false;
  for (int i = 0; i < count; ++i) {
    if (free_.empty()) {
      const int32_t page = oldest_;
      unlink(page);
      unregister(page);
      free_.push_back(page);
    }
    const int32_t page = free_.back();
    free_.pop_back();
    pages_[page].refs = 1;
    table.pages.push_back(page);
  }
  return true;
}

void Pages::publish(std::string_view tenant, std::span<const int32_t> tokens, int computed, PageTable& table) {
  assert(computed <= static_cast<int>(tokens.size()));
  const int full = computed / limits::kPageTokens;
  assert(full <= static_cast<int>(table.pages.size()));
  for (; table.published < full; ++table.published) {
    const int i = table.published;
    const uint64_t parent = i == 0 ? 0 : pages_[table.pages[i - 1]].serial;
    const auto content = tokens.subspan(static_cast<size_t>(i) * limits::kPageTokens, limits::kPageTokens);
    const int32_t own = table.pages[i];
    if (const int32_t other = find(parent, tenant, content); other >= 0) {
      acquire(other);
      drop(own);
      table.pages[i] = other;
      continue;
    }
    Page& page = pages_[own];
    assert(page.serial == 0);
    page.serial = next_serial_++;
    page.parent = parent;
    if (parent == 0) page.tenant = tenant;
    std::copy(content.begin(), content.end(), page.tokens.begin());
    entries_.emplace(hash(parent, tenant, content), own);
  }
}

void Pages::release(PageTable& table) {
  // From the back, so that of one chain the deepest page is the oldest in the list and goes first.
  for (size_t i = table.pages.size(); i-- > 0;) drop(table.pages[i]);
  table.pages.clear();
  table.published = 0;
}

uint64_t Pages::hash(uint64_t parent, std::string_view tenant, std::span<const int32_t> tokens) {
  uint64_t h = mix64(parent);
  if (parent == 0) h = mix64(h ^ std::hash<std::string_view>{}(tenant));
  for (int32_t token : tokens) h = mix64(h ^ static_cast<uint32_t>(token));
  return h;
}

int32_t Pages::find(uint64_t parent, std::string_view tenant, std::span<const int32_t> tokens) const {
  const auto [begin, end] = entries_.equal_range(hash(parent, tenant, tokens));
  for (auto it = begin; it != end; ++it) {
    const Page& page = pages_[it->second];
    if (page.parent == parent && (parent != 0 || page.tenant == tenant) && std::equal(tokens.begin(), tokens.end(), page.tokens.begin()))
      return it->second;
  }
  return -1;
}

void Pages::unregister(int32_t index) {
  Page& page = pages_[index];
  const auto [begin, end] = entries_.equal_range(hash(page.parent, page.tenant, page.tokens));
  const auto it = std::find_if(begin, end, [&](const auto& entry) { return entry.second == index; });
  assert(it != end);
  entries_.erase(it);
  page.serial = page.parent = 0;
  page.tenant.clear();
}

void Pages::acquire(int32_t page) {
  if (pages_[page].refs++ == 0) unlink(page);
}

void Pages::drop(int32_t index) {
  Page& page = pages_[index];
  assert(page.refs > 0);
  if (--page.refs > 0) return;
  if (page.serial != 0) link_newest(index);
  else free_.push_back(index);
}

void Pages::link_newest(int32_t page) {
  pages_[page].older = newest_;
  pages_[page].newer = -1;
  if (newest_ >= 0) pages_[newest_].newer = page;
  else oldest_ = page;
  newest_ = page;
  ++cached_;
}

void Pages::unlink(int32_t index) {
  Page& page = pages_[index];
  (page.older >= 0 ? pages_[page.older].newer : oldest_) = page.newer;
  (page.newer >= 0 ? pages_[page.newer].older : newest_) = page.older;
  page.older = page.newer = -1;
  --cached_;
}

void Pages::check() const {
  std::vector<int> seen(pages_.size(), 0);
  for (int32_t page : free_) {
    assert(pages_[page].refs == 0 && pages_[page].serial == 0);
    ++seen[page];
  }
  int listed = 0;
  for (int32_t page = oldest_; page >= 0; page = pages_[page].newer) {
    assert(pages_[page].refs == 0 && pages_[page].serial != 0);
    assert(pages_[page].newer >= 0 || page == newest_);
    ++seen[page];
    ++listed;
  }
  assert(listed == cached_);
  size_t published = 0;
  for (size_t i = 0; i < pages_.size(); ++i) {
    assert(seen[i] == (pages_[i].refs == 0 ? 1 : 0));
    if (pages_[i].serial != 0) ++published;
  }
  assert(published == entries_.size());
  (void)published;
  (void)listed;
}

}  // namespace verge::worker
