#include "worker/packer.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "support/limits.h"

namespace verge::worker {

Result<void> Packer::submit(Job job, int64_t now_ms) {
  assert(!job.costs.empty());
  if (job.deadline_ms != 0 && job.deadline_ms <= now_ms) return fail(Code::Timeout, "The request's deadline passed before it could start.");
  if (job.reject_if_busy && !jobs_.empty()) {
    Error error = fail(Code::Busy, "The model is busy with {} requests.", jobs_.size());
    error.retry_after_ms = 1000;
    return error;
  }
  if (static_cast<int>(jobs_.size()) >= limits_.length) {
    Error error = fail(Code::Busy, "The model's queue is full ({} requests are here). Try again later.", jobs_.size());
    error.retry_after_ms = 1000;
    return error;
  }
  Line& line = lines_[job.tenant];
  ++line.waiting;
  share_.enter(job.tenant);
  Entry entry;
  entry.id = job.id;
  entry.tenant = std::move(job.tenant);
  entry.costs = std::move(job.costs);
  entry.tag = line.virtual_time;
  entry.arrival = arrivals_++;
  entry.expires_ms = now_ms + limits_.time_ms;
  if (job.deadline_ms != 0 && job.deadline_ms <= entry.expires_ms) {
    entry.expires_ms = job.deadline_ms;
    entry.by_deadline = true;
  }
  waiting_cost_ += std::accumulate(entry.costs.begin(), entry.costs.end(), int64_t{0});
  jobs_.emplace(job.id, std::move(entry));
  return {};
}

// The request has no items left to give out.
void Packer::leave(Entry& entry) {
  const auto line = lines_.find(entry.tenant);
  if (--line->second.waiting == 0) lines_.erase(line);
  share_.leave(entry.tenant);
}

bool Packer::cancel(uint64_t id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return false;
  Entry& entry = it->second;
  if (entry.given < entry.costs.size()) {
    waiting_cost_ -= std::accumulate(entry.costs.begin() + static_cast<ptrdiff_t>(entry.given), entry.costs.end(), int64_t{0});
    leave(entry);
  }
  jobs_.erase(it);
  return true;
}

// The entry whose item is next. At most limits_.length of them are here.
Packer::Entry* Packer::pick() {
  const std::string* name = share_.first([](const std::string&) { return true; });
  if (!name) return nullptr;
  Entry* best = nullptr;
  for (auto& [id, entry] : jobs_) {
    if (entry.given == entry.costs.size() || entry.tenant != *name) continue;
    if (!best || std::pair(entry.tag, entry.arrival) < std::pair(best->tag, best->arrival)) best = &entry;
  }
  return best;
}

std::vector<Packer::Item> Packer::next(int64_t cost_limit, int items_limit) {
  std::vector<Item> batch;
  int64_t cost = 0;
  while (static_cast<int>(batch.size()) < items_limit) {
    Entry* entry = pick();
    if (!entry) break;
    const int64_t item = entry->costs[entry->given];
    if (!batch.empty() && cost + item > cost_limit) break;
    const uint64_t id = entry->id;
    batch.push_back({id, static_cast<int>(entry->given++)});
    cost += item;
    waiting_cost_ -= item;
    share_.charge(entry->tenant, static_cast<double>(item));
    Line& line = lines_.at(entry->tenant);
    line.virtual_time = std::max(line.virtual_time, entry->tag);
    entry->tag += item;
    if (entry->given == entry->costs.size()) leave(*entry);
  }
  return batch;
}

std::vector<uint64_t> Packer::done(const std::vector<Item>& batch) {
  std::vector<uint64_t> complete;
  for (const Item& item : batch) {
    const auto it = jobs_.find(item.id);
    if (it == jobs_.end()) continue;  // cancelled while it ran
    if (++it->second.finished < it->second.costs.size()) continue;
    complete.push_back(item.id);
    jobs_.erase(it);
  }
  return complete;
}

std::vector<Packer::Expired> Packer::expire(int64_t now_ms) {
  std::vector<Expired> expired;
  for (const auto& [id, entry] : jobs_) {
    if (entry.expires_ms > now_ms) continue;
    if (entry.by_deadline) expired.push_back({id, fail(Code::Timeout, "The request's deadline passed.")});
    else if (entry.given == 0) expired.push_back({id, fail(Code::Busy, "The request waited {} ms for its turn. Try again later.", limits_.time_ms)});
  }
  std::ranges::sort(expired, {}, &Expired::id);
  for (Expired& e : expired) {
    if (e.error.code == Code::Busy) e.error.retry_after_ms = 1000;
    cancel(e.id);
  }
  return expired;
}

int64_t Packer::next_expiry() const {
  int64_t soonest = INT64_MAX;
  for (const auto& [id, entry] : jobs_)
    if (entry.by_deadline || entry.given == 0) soonest = std::min(soonest, entry.expires_ms);
  return soonest;
}

int64_t batch_cost(int64_t waiting_cost, double cost_per_ms, int64_t least, int64_t most) {
  if (cost_per_ms <= 0) return least;
  const double ms = std::clamp(static_cast<double>(waiting_cost) / cost_per_ms / 4, static_cast<double>(limits::kBatchLeastMs),
                               static_cast<double>(limits::kBatchMostMs));
  return std::clamp(static_cast<int64_t>(ms * cost_per_ms), least, most);
}

}  // namespace verge::worker
