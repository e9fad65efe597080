#include "worker/queue.h"

#include <algorithm>
#include <cassert>

namespace verge::worker {
namespace {

enum Class { kReplay = 0, kNew = 1 };

}  // namespace

Result<void> Queue::push(const Item& item, int64_t now_ms) {
  if (item.deadline_ms != 0 && item.deadline_ms <= now_ms) return fail(Code::Timeout, "The request's deadline had passed when it arrived.");
  if (full()) {
    Error error = fail(Code::Busy, "The model's queue is full ({} requests wait). Try again later.", waiting_);
    error.retry_after_ms = 1000;
    return error;
  }
  Tenant& tenant = tenants_[item.tenant];
  const int64_t tag = std::max(virtual_time_, tenant.finish);
  tenant.finish = tag + std::max<int64_t>(item.cost, 1);
  if (tenant.waiting++ == 0) ++waiting_tenants_;
  Entry entry{{kNew, tag, item.arrival}, item.tenant, std::max<int64_t>(item.cost, 1)};
  entry.expires_ms = now_ms + limits_.time_ms;
  if (item.deadline_ms != 0 && item.deadline_ms < entry.expires_ms) {
    entry.expires_ms = item.deadline_ms;
    entry.by_deadline = true;
  }
  ++waiting_;
  insert(item.id, std::move(entry));
  return {};
}

void Queue::push_replay(const Item& item) {
  Entry entry{{kReplay, 0, item.arrival}, item.tenant};
  entry.replay = true;
  entry.by_deadline = true;
  if (item.deadline_ms != 0) entry.expires_ms = item.deadline_ms;
  insert(item.id, std::move(entry));
}

std::optional<uint64_t> Queue::front() const {
  if (order_.empty()) return std::nullopt;
  return order_.begin()->second;
}

void Queue::pop() {
  assert(!order_.empty());
  const auto [key, id] = *order_.begin();
  if (std::get<0>(key) == kNew)
    virtual_time_ = std::max(virtual_time_, std::get<1>(key)) + entries_.at(id).cost / std::max(1, waiting_tenants_);
  erase(id);
}

bool Queue::remove(uint64_t id) {
  if (!entries_.contains(id)) return false;
  erase(id);
  return true;
}

std::vector<Queue::Expired> Queue::expire(int64_t now_ms) {
  std::vector<Expired> expired;
  while (!expiries_.empty() && expiries_.begin()->first <= now_ms) {
    const uint64_t id = expiries_.begin()->second;
    Error error;
    if (entries_.at(id).by_deadline) {
      error = fail(Code::Timeout, "The request's deadline passed while it waited.");
    } else {
      error = fail(Code::Busy, "The request waited {} s for a free slot. Try again later.", limits_.time_ms / 1000);
      error.retry_after_ms = limits_.time_ms / 4;
    }
    expired.push_back({id, std::move(error)});
    erase(id);
  }
  return expired;
}

void Queue::insert(uint64_t id, Entry entry) {
  const bool fresh = order_.emplace(entry.key, id).second;
  assert(fresh);
  (void)fresh;
  if (entry.expires_ms != INT64_MAX) expiries_.emplace(entry.expires_ms, id);
  entries_.emplace(id, std::move(entry));
}

void Queue::erase(uint64_t id) {
  const auto it = entries_.find(id);
  assert(it != entries_.end());
  const Entry& entry = it->second;
  order_.erase(entry.key);
  expiries_.erase({entry.expires_ms, id});
  if (!entry.replay) {
    --waiting_;
    if (--tenants_[entry.tenant].waiting == 0) --waiting_tenants_;
  }
  entries_.erase(it);
  // A tenant with nothing here and no debt is forgotten; looked at only when the table has grown.
  if (tenants_.size() > 2 * entries_.size() + 64)
    std::erase_if(tenants_, [&](const auto& t) { return t.second.waiting == 0 && (t.second.finish <= virtual_time_ || entries_.empty()); });
}

}  // namespace verge::worker
