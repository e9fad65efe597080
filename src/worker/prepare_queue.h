// Requests whose input is to be read (tokenised, decoded) by a few threads. Pure.
// PQ1 Fair between tenants by bytes; of one tenant short ones first, then in order of arrival.
// PQ2 Long inputs take all threads but one at most, so that a short one waits for short ones only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "support/fair_share.h"
#include "support/overload_limits.h"

namespace verge::worker {

class PrepareQueue {
 public:
  explicit PrepareQueue(int threads) : most_long_(threads > 1 ? threads - 1 : 1) {}

  void push(uint64_t id, const std::string& tenant, size_t bytes) {
    share_.enter(tenant);
    Lines& lines = lines_[tenant];
    (bytes > limits::kLongPromptBytes ? lines.longer : lines.shorter).push_back({id, bytes});
  }

  struct Job {
    uint64_t id = 0;
    bool is_long = false;
  };
  // The next one for a free thread; none where nothing waits that may begin.
  std::optional<Job> pop() {
    std::optional<Job> job;
    size_t bytes = 0;
    const std::string* found = share_.first([&](const std::string& tenant) {
      Lines& lines = lines_.at(tenant);
      const bool is_long = lines.shorter.empty();
      if (is_long && long_ >= most_long_) return false;
      auto& line = is_long ? lines.longer : lines.shorter;
      bytes = line.front().bytes;
      job = Job{line.front().id, is_long};
      line.pop_front();
      return true;
    });
    if (!found) return std::nullopt;
    const std::string tenant = *found;
    long_ += job->is_long;
    share_.charge(tenant, static_cast<double>(bytes + kBytesOfAny));
    if (lines_.at(tenant).shorter.empty() && lines_.at(tenant).longer.empty()) lines_.erase(tenant);
    share_.leave(tenant);
    return job;
  }
  void done(const Job& job) { long_ -= job.is_long; }

 private:
  static constexpr size_t kBytesOfAny = 256;  // any request costs something
  struct Waiting {
    uint64_t id;
    size_t bytes;
  };
  struct Lines {
    std::deque<Waiting> shorter, longer;
  };
  int most_long_, long_ = 0;
  std::map<std::string, Lines> lines_;
  FairShare share_;
};

}  // namespace verge::worker
