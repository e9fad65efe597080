#include "worker/speech_batch.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace verge::worker {
namespace {

// The line's own bounds are not used: who may wait, and how long, is decided before (SpeechService).
QueueLimits no_limits() {
  QueueLimits limits;
  limits.length = std::numeric_limits<int>::max();
  limits.time_ms = std::numeric_limits<int>::max();
  return limits;
}

}  // namespace

SpeechBatch::SpeechBatch(Room room) : room_(room), line_(no_limits()), free_pages_(room.pages) {}

void SpeechBatch::submit(uint64_t id, const std::string& tenant, int pages) {
  assert(pages <= room_.pages && !pages_.contains(id));
  Packer::Job job;
  job.id = id;
  job.tenant = tenant;
  job.costs = {1};
  static_cast<void>(line_.submit(std::move(job), 0).ok());  // never full, never late
  pages_[id] = pages;
}

void SpeechBatch::remove(uint64_t id) {
  const auto window = pages_.find(id);
  if (window == pages_.end()) return;
  if (next_ == id) {
    next_.reset();
  } else if (const auto at = std::ranges::find(running_, id); at != running_.end()) {
    running_.erase(at);
    free_pages_ += window->second;
  } else {
    line_.cancel(id);
  }
  pages_.erase(window);
}

std::vector<uint64_t> SpeechBatch::admit() {
  std::vector<uint64_t> admitted;
  while (static_cast<int>(admitted.size()) < room_.encoder_windows && running() < room_.windows) {
    if (!next_) {
      const auto picked = line_.next(1, 1);
      if (picked.empty()) break;
      line_.done(picked);
      next_ = picked.front().id;
    }
    const int pages = pages_.at(*next_);
    if (pages > free_pages_) break;  // it is its turn: no smaller one goes past it
    free_pages_ -= pages;
    running_.push_front(*next_);
    admitted.push_back(*next_);
    next_.reset();
  }
  return admitted;
}

std::vector<uint64_t> SpeechBatch::step(const std::function<int(uint64_t)>& rows) {
  std::vector<uint64_t> chosen;
  std::deque<uint64_t> left;
  int room = room_.rows;
  for (const uint64_t id : running_) {
    const int wanted = rows(id);
    if (wanted > room) {
      left.push_back(id);
      continue;
    }
    room -= wanted;
    chosen.push_back(id);
  }
  left.insert(left.end(), chosen.begin(), chosen.end());
  running_ = std::move(left);
  return chosen;
}

}  // namespace verge::worker
