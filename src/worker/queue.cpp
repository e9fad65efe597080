#include "worker/queue.h"

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
  Entry entry{{kNew, item.arrival}, item.tenant};
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
  Entry entry{{kReplay, item.arrival}, item.tenant};
  entry.replay = true;
  entry.by_deadline = true;
  if (item.deadline_ms != 0) entry.expires_ms = item.deadline_ms;
  insert(item.id, std::move(entry));
}

std::optional<uint64_t> Queue::front(const std::string& tenant) const {
  const auto line = lines_.find(tenant);
  if (line == lines_.end()) return std::nullopt;
  return line->second.begin()->second;
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
  const bool fresh = lines_[entry.tenant].emplace(entry.key, id).second;
  assert(fresh);
  (void)fresh;
  if (entry.expires_ms != INT64_MAX) expiries_.emplace(entry.expires_ms, id);
  entries_.emplace(id, std::move(entry));
}

void Queue::erase(uint64_t id) {
  const auto it = entries_.find(id);
  assert(it != entries_.end());
  const Entry& entry = it->second;
  const auto line = lines_.find(entry.tenant);
  line->second.erase(entry.key);
  if (line->second.empty()) lines_.erase(line);
  expiries_.erase({entry.expires_ms, id});
  if (!entry.replay) --waiting_;
  entries_.erase(it);
}

}  // namespace verge::worker
