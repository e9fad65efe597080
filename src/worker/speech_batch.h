// Whose windows are encoded, and whose rows are in the decoder's next step. Pure.
//
// A clip is transcribed window by window; its next window is submitted when the last one has ended.
//
// SB1 A window that is admitted keeps its place (the memory of its frames, its pages of the decoder's cache) until it ends or is
//    removed, and then nothing of it is left: neither is ever taken twice.
// SB2 Places go to windows in turn: fair between tenants, then by who has waited longest (worker/packer.h). A short clip
//    beside long ones waits for one window of each at most; no order of arrivals makes it wait for a whole clip.
// SB3 A step has at most `rows` rows. Windows that found no room in it are first in the next; each one is in some step.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "worker/packer.h"

namespace verge::worker {

class SpeechBatch {
 public:
  struct Room {
    int windows = 1;          // in the decoder at once
    int encoder_windows = 1;  // in one batch of the encoder
    int pages = 0;            // of the decoder's cache
    int rows = 1;             // of one step
  };
  explicit SpeechBatch(Room room);

  // A clip's next window, which needs up to `pages` (no more than there are). `id` is in here once.
  void submit(uint64_t id, const std::string& tenant, int pages);
  // The window has ended, or its clip is given up: wherever it is.
  void remove(uint64_t id);

  // Windows that get a place now; they are encoded as one batch before the next step.
  std::vector<uint64_t> admit();
  // Those in the next step; `rows` tells how many rows each would have (1 … Room::rows).
  std::vector<uint64_t> step(const std::function<int(uint64_t)>& rows);

  int waiting() const { return line_.requests() + (next_ ? 1 : 0); }
  int running() const { return static_cast<int>(running_.size()); }
  bool idle() const { return waiting() == 0 && running_.empty(); }

 private:
  const Room room_;
  Packer line_;
  std::optional<uint64_t> next_;  // taken from the line, waits for pages
  std::unordered_map<uint64_t, int> pages_;
  std::deque<uint64_t> running_;  // the longest without a step first
  int free_pages_;
};

}  // namespace verge::worker
