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
//   1. Admission from the queue while there are slots, enough prefill is not yet at hand, and the
//      pages of the whole prompt are there, plus one for every running sequence, so that what is
//      admitted is not thrown out again at once. The least served tenant is next. Where there is no slot or page, and
//      another tenant would still have as much as it, the youngest sequence of the one that has most gives way.
//   2. One decode row for every running sequence that has one, oldest first. A row that needs a new
//      page and finds none takes the pages of the youngest running sequence (perhaps its own). Where tenants share
//      the batch and there are more than their step may have (StepRoom::shared), the least served tenant is next,
//      and of its sequences the one that has waited longest.
//   3. Prefill chunks within the row budget, those of the least served tenant first, then oldest first: prompts are read
//      one after the other, so the first ones answer early and the last one is not later than if all were read
//      together. A quarter of the rows is kept from a prompt that would not end in this step while others that
//      would fit wait behind it: a long prompt does not hold up short ones.
//      Of prompts that go on alike only one is read there: the others wait for its pages.
//
// B1 Rows of a step <= max_rows, sequences <= max_sequences.
// B2 A sequence's tokens are computed exactly once and in order, unless its pages were taken; a page of another sequence of its
//    tenant with the same beginning counts as computed.
// B3 The oldest running sequence is never preempted while another runs, so every admitted sequence
//    ends (submit() refuses what would not fit alone). The one exception: a sequence that grows to
//    BatchLimits::long_text_from tokens is computed again, once.
// B5 Tenants that always want something get equal numbers of tokens computed (support/fair_share.h).
// B4 Nothing of a finished or cancelled sequence is held: no page, no slot, no place in the queue.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "support/error.h"
#include "support/fair_share.h"
#include "support/limits.h"
#include "worker/pages.h"
#include "worker/queue.h"

namespace verge::worker {

struct BatchLimits {
  int pages = 0;
  int max_rows = limits::kBatchTokens;
  int max_sequences = limits::kSequences;
  QueueLimits queue{};
  // Sequences of this many tokens and more have other keys than shorter ones (engine::ModelInfo); 0 = all have the same.
  int long_text_from = 0;
};

// What one sequence computes in this step. Spans hold until the next call that changes the batch.
struct Row {
  uint64_t id = 0;
  std::span<const int32_t> tokens;
  int position = 0;
  std::span<const int32_t> pages;
  bool logits = false;  // the last token's are wanted
  int length = 0;       // tokens of the whole sequence
};

// What a step may have, by the time that it may take (pace.h).
struct StepRoom {
  int prompts = limits::kBatchTokens;  // rows of prompts
  int shared = limits::kBatchTokens;   // all rows but the least served tenant's prompts', while tenants share the batch
};

struct Plan {
  std::vector<Row> rows;
  int answer_rows = 0;  // of them: of one token that follows the last
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

  Plan plan(int64_t now_ms, const StepRoom& room);
  // The plan's rows were computed.
  void commit(const Plan& plan);
  // The token that was chosen from the sequence's logits.
  void append(uint64_t id, int32_t token);

  bool contains(uint64_t id) const { return sequences_.contains(id); }
  std::span<const int32_t> tokens(uint64_t id) const { return sequences_.at(id).tokens; }
  int cached_tokens(uint64_t id) const { return sequences_.at(id).cached; }

  int running() const { return static_cast<int>(running_.size()); }
  int decoding() const;           // sequences that want a row for their next token
  int tenants(int64_t now_ms) const;  // that have something here, or had within kShareLingerMs
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
    bool running = false, held = false, admitted_before = false, replayed = false;
    PageTable table;
    int missing() const { return static_cast<int>(tokens.size()) - computed; }
    bool decoding = false;      // had its first token: one missing token is a decode row
    uint64_t last_step = 0;     // that it had a row in
    bool wants_row() const { return !held && decoding && missing() == 1; }
    bool wants_reading() const { return !held && !(decoding && missing() <= 1); }
  };
  using Running = std::map<uint64_t, uint64_t>;  // arrival -> id: oldest first

  bool ensure_page(State& state);
  void preempt(uint64_t id);
  void expire_running(int64_t now_ms, Plan& plan);
  std::vector<uint64_t> choose_decode(int most) const;
  int plan_decode(int most, Plan& plan);
  std::optional<uint64_t> next_waiting(const std::set<std::string>& passed) const;
  void admit(int budget);
  bool admit_one(uint64_t id);
  bool reads_nothing(const std::string& tenant) const;
  bool make_room(const State& state, int pages);
  void take_cached(State& state);
  bool reads_for(const State& reader, const State& other) const;
  void plan_prefill(int budget, int shared, Plan& plan);
  Row row(uint64_t id, const State& state, int count) const;
  bool is_long(const State& state) const;
  std::string root(const State& state) const;

  BatchLimits limits_;
  Pages pages_;
  Queue queue_;
  std::unordered_map<uint64_t, State> sequences_;
  Running running_;
  struct Held {  // by a tenant's running sequences
    int sequences = 0, pages = 0;
  };
  std::map<std::string, Held> held_by_tenant() const;
  FairShare share_;  // charged with computed tokens; a tenant is in it while it has a sequence here
  std::map<std::string, int64_t> left_ms_;  // tenants that had their last sequence here, and when
  int64_t now_ms_ = 0;                      // of the last plan
  uint64_t steps_ = 0;
  std::multimap<int64_t, uint64_t> deadlines_;
  uint64_t next_arrival_ = 1;
  uint64_t preemptions_ = 0, prompt_tokens_ = 0, prefix_hits_ = 0;
};

}  // namespace verge::worker
