// Continuous batching: which tokens of which sequences the next step computes. Pure: ids, counts and
// the time go in, rows come out; runner.cpp computes them.
//
// A sequence is its tokens (prompt, then answer) and how many of them are computed, that is, are in
// its KV pages. What is missing is either one token (the last sampled: a decode row) or more (a
// prompt, or a replay after preemption: a prefill chunk); the same code serves both.
//
//   submit ──> waiting ──admit──> running ──finish/cancel──> gone
//                 ^                  │
//                 └──── preempt ─────┘   pages lost, tokens kept: computed again later
//
// One step, in this order:
//   1. One decode row for every running sequence that has one, oldest first. A row that needs a new
//      page and finds none takes the pages of the youngest running sequence (perhaps its own).
//   2. Admission from the queue while there are slots, enough prefill is not yet at hand, and the
//      pages of the whole prompt are there, plus one for every running sequence, so that what is
//      admitted is not thrown out again at once.
//   3. Prefill chunks within the row budget, oldest first: prompts are read one after the other, so
//      the first ones answer early and the last one is not later than if all were read together. A
//      quarter of the rows is kept from a prompt that would not end in this step while others that
//      would fit wait behind it: a long prompt does not hold up short ones.
//
// B1 Rows of a step <= max_rows, sequences <= max_sequences.
// B2 A sequence's tokens are computed exactly once and in order, unless its pages were taken.
// B3 The oldest running sequence is never preempted while another runs, so every admitted sequence
//    ends (submit() refuses what would not fit alone).
// B4 Nothing of a finished or cancelled sequence is held: no page, no slot, no place in the queue.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/error.h"
#include "support/limits.h"
#include "worker/pages.h"
#include "worker/queue.h"

namespace verge::worker {

struct BatchLimits {
  int pages = 0;
  int max_rows = limits::kBatchTokens;
  int max_sequences = limits::kSequences;
  QueueLimits queue;
};

// What one sequence computes in this step. Spans hold until the next call that changes the batch.
struct Row {
  uint64_t id = 0;
  std::span<const int32_t> tokens;
  int position = 0;
  std::span<const int32_t> pages;
  bool logits = false;  // the last token's are wanted
};

struct Plan {
  std::vector<Row> rows;
  std::vector<Queue::Expired> expired;  // these are gone from the batch
};

class Batch {
 public:
  explicit Batch(BatchLimits limits);

  struct Sequence {
    uint64_t id = 0;
    std::string tenant;
    std::vector<int32_t> tokens;   // >= 1: prompt, and the answer so far where one is resumed
    int most_tokens = 0;           // that it may reach: prompt + max_tokens
    int64_t deadline_ms = 0;       // 0 = none
    bool reject_if_busy = false;   // refuse instead of waiting
  };
  // Errors: Busy, Timeout, ContextOverflow where it could not even run alone.
  Result<void> submit(Sequence sequence, int64_t now_ms);
  // Where the sequence is makes no difference; unknown ids are ignored (it may just have ended).
  void remove(uint64_t id);
  // A held sequence keeps its pages but gets no rows: its reader is slow.
  void hold(uint64_t id, bool held);

  // `prefill_rows`: most rows of prefill in this step while others are decoding.
  Plan plan(int64_t now_ms, int prefill_rows);
  // The plan's rows were computed.
  void commit(const Plan& plan);
  // The token that was chosen from the sequence's logits.
  void append(uint64_t id, int32_t token);

  bool contains(uint64_t id) const { return sequences_.contains(id); }
  std::span<const int32_t> tokens(uint64_t id) const { return sequences_.at(id).tokens; }
  int cached_tokens(uint64_t id) const { return sequences_.at(id).cached; }

  int running() const { return static_cast<int>(running_.size()); }
  int waiting() const { return queue_.size(); }
  int64_t unread_tokens() const;  // of prompts, waiting ones and those that are being read
  bool empty() const { return sequences_.empty(); }
  // plan() would give no row before this time, whatever is in the queue: nothing runs that could go on.
  int64_t next_expiry() const;
  const Pages& pages() const { return pages_; }
  uint64_t preemptions() const { return preemptions_; }
  uint64_t prompt_tokens() const { return prompt_tokens_; }    // looked up in the prefix cache so far
  uint64_t prefix_hits() const { return prefix_hits_; }        // of them found

  void check() const;  // B1, B4, G1; aborts where broken

 private:
  struct State {
    std::string tenant;
    std::vector<int32_t> tokens;
    int most_tokens = 0;
    int computed = 0;
    int cached = 0;             // prompt tokens found in the prefix cache at first admission
    int64_t deadline_ms = 0;
    uint64_t arrival = 0;
    bool running = false, held = false, admitted_before = false;
    PageTable table;
    int missing() const { return static_cast<int>(tokens.size()) - computed; }
    bool decoding = false;      // had its first token: one missing token is a decode row
  };
  using Running = std::map<uint64_t, uint64_t>;  // arrival -> id: oldest first

  bool ensure_page(State& state);
  void preempt(uint64_t id);
  void expire_running(int64_t now_ms, Plan& plan);
  int plan_decode(Plan& plan);
  void admit(int budget);
  bool admit_front();
  void plan_prefill(int budget, Plan& plan);
  Row row(uint64_t id, const State& state, int count) const;

  BatchLimits limits_;
  Pages pages_;
  Queue queue_;
  std::unordered_map<uint64_t, State> sequences_;
  Running running_;
  std::multimap<int64_t, uint64_t> deadlines_;
  uint64_t next_arrival_ = 1;
  uint64_t preemptions_ = 0, prompt_tokens_ = 0, prefix_hits_ = 0;
};

}  // namespace verge::worker
