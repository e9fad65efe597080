#include "worker/batch.h"

#include <algorithm>
#include <cassert>

namespace verge::worker {
namespace {

int pages_for(int tokens) { return (tokens + limits::kPageTokens - 1) / limits::kPageTokens; }

// Prompts that are being read at once, beyond what fills the row budget: enough that short ones are
// at hand to go beside a long one, few enough that the queue's fair order still decides.
constexpr int kReadingAtOnce = 8;

}  // namespace

Batch::Batch(BatchLimits limits) : limits_(limits), pages_(limits.pages), queue_(limits.queue) {
  assert(limits.pages > 0 && limits.max_sequences > 0 && limits.max_rows >= limits.max_sequences);
}

Result<void> Batch::submit(Sequence sequence, int64_t now_ms) {
  assert(!sequence.tokens.empty() && !sequences_.contains(sequence.id));
  const int most = std::max(sequence.most_tokens, static_cast<int>(sequence.tokens.size()));
  if (pages_for(most) > pages_.count()) {
    Error error = fail(Code::ContextOverflow, "{} tokens don't fit into the memory for keys and values ({} tokens).", most,
                       pages_.count() * limits::kPageTokens);
    error.requested = most;
    error.limit = pages_.count() * limits::kPageTokens;
    return error;
  }
  if (sequence.reject_if_busy && (!queue_.empty() || running() >= limits_.max_sequences)) {
    Error error = fail(Code::Busy, "No slot is free at once and the request asked not to wait.");
    error.retry_after_ms = 1000;
    return error;
  }
  const uint64_t arrival = next_arrival_++;
  VERGE_TRY(queue_.push({sequence.id, sequence.tenant, arrival, most, sequence.deadline_ms}, now_ms));
  State& state = sequences_[sequence.id];
  state.tenant = std::move(sequence.tenant);
  state.tokens = std::move(sequence.tokens);
  state.most_tokens = most;
  state.deadline_ms = sequence.deadline_ms;
  state.arrival = arrival;
  if (state.deadline_ms != 0) deadlines_.emplace(state.deadline_ms, sequence.id);
  return {};
}

void Batch::remove(uint64_t id) {
  const auto it = sequences_.find(id);
  if (it == sequences_.end()) return;
  State& state = it->second;
  if (state.running) {
    pages_.release(state.table);
    running_.erase(state.arrival);
  } else {
    queue_.remove(id);
  }
  if (state.deadline_ms != 0) {
    const auto [begin, end] = deadlines_.equal_range(state.deadline_ms);
    deadlines_.erase(std::find_if(begin, end, [id](const auto& d) { return d.second == id; }));
  }
  sequences_.erase(it);
}

void Batch::hold(uint64_t id, bool held) {
  if (const auto it = sequences_.find(id); it != sequences_.end()) it->second.held = held;
}

Plan Batch::plan(int64_t now_ms, int prefill_rows) {
  Plan plan;
  for (Queue::Expired& expired : queue_.expire(now_ms)) {
    plan.expired.push_back(expired);
    remove(expired.id);
  }
  expire_running(now_ms, plan);
  const int decode_rows = plan_decode(plan);
  int budget = limits_.max_rows - decode_rows;
  if (decode_rows > 0) budget = std::min(budget, std::max(prefill_rows, 1));
  admit(budget);
  plan_prefill(budget, plan);
  return plan;
}

void Batch::commit(const Plan& plan) {
  for (const Row& row : plan.rows) {
    State& state = sequences_.at(row.id);
    assert(state.running && state.computed == row.position);
    state.computed += static_cast<int>(row.tokens.size());
    if (state.missing() == 0) state.decoding = true;
    pages_.publish(state.tenant, state.tokens, state.computed, state.table);
  }
}

void Batch::append(uint64_t id, int32_t token) {
  State& state = sequences_.at(id);
  assert(state.running && state.missing() == 0);
  state.tokens.push_back(token);
  assert(static_cast<int>(state.tokens.size()) <= state.most_tokens);
}

int64_t Batch::unread_tokens() const {
  int64_t sum = 0;
  for (const auto& [id, state] : sequences_)
    if (!state.decoding) sum += state.missing();
  return sum;
}

int64_t Batch::next_expiry() const {
  const int64_t deadline = deadlines_.empty() ? INT64_MAX : deadlines_.begin()->first;
  return std::min(queue_.next_expiry(), deadline);
}

void Batch::expire_running(int64_t now_ms, Plan& plan) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_ms) {
    const uint64_t id = deadlines_.begin()->second;
    plan.expired.push_back({id, fail(Code::Timeout, "The request's deadline passed before its answer was complete.")});
    remove(id);
  }
}

// Gives the sequence a page for its next token, at the cost of younger ones; false = it was itself
// the youngest and has lost its pages.
bool Batch::ensure_page(State& state) {
  if (state.computed < static_cast<int>(state.table.pages.size()) * limits::kPageTokens) return true;
  while (!pages_.allocate(1, state.table)) {
    const auto youngest = std::prev(running_.end());
    const bool own = youngest->first == state.arrival;
    assert(!own || running_.size() > 1);  // alone, every page is available to it
    preempt(youngest->second);
    if (own) return false;
  }
  return true;
}

void Batch::preempt(uint64_t id) {
  State& state = sequences_.at(id);
  pages_.release(state.table);
  running_.erase(state.arrival);
  state.running = false;
  state.computed = 0;
  ++preemptions_;
  queue_.push_replay({id, state.tenant, state.arrival, 1, state.deadline_ms});
}

int Batch::plan_decode(Plan& plan) {
  int rows = 0;
  // ensure_page() may erase the youngest, never one before the current.
  for (auto it = running_.begin(); it != running_.end();) {
    const uint64_t id = it->second;
    State& state = sequences_.at(id);
    if (state.held || !state.decoding || state.missing() != 1) {
      ++it;
      continue;
    }
    if (!ensure_page(state)) break;
    plan.rows.push_back(row(id, state, 1));
    ++rows;
    ++it;
  }
  return rows;
}

void Batch::admit(int budget) {
  int reading = 0, rows = 0;
  for (const auto& [arrival, id] : running_) {
    const State& state = sequences_.at(id);
    if (state.held || (state.decoding && state.missing() <= 1)) continue;
    ++reading;
    rows += state.missing();
  }
  while (running() < limits_.max_sequences && (rows < budget || reading < kReadingAtOnce)) {
    const std::optional<uint64_t> next = queue_.front();
    if (!next || !admit_front()) return;
    ++reading;
    rows += sequences_.at(*next).missing();
  }
}

bool Batch::admit_front() {
  const uint64_t id = *queue_.front();
  State& state = sequences_.at(id);
  const int tokens = static_cast<int>(state.tokens.size());
  // At least the last token is computed, for its logits.
  const int found = pages_.match(state.tenant, state.tokens, tokens - 1, state.table);
  const int needed = pages_for(std::min(tokens + 1, state.most_tokens)) - static_cast<int>(state.table.pages.size());
  if (pages_.available() < needed + running() || !pages_.allocate(needed, state.table)) {
    pages_.release(state.table);
    return false;
  }
  queue_.pop();
  state.running = true;
  state.computed = found;
  state.decoding = false;
  running_.emplace(state.arrival, id);
  if (!state.admitted_before) {
    state.admitted_before = true;
    state.cached = found;
    prompt_tokens_ += static_cast<uint64_t>(tokens);
    prefix_hits_ += static_cast<uint64_t>(found);
  }
  return true;
}

void Batch::plan_prefill(int budget, Plan& plan) {
  struct Share {
    uint64_t id;
    State* state;
    int rows;
  };
  std::vector<Share> shares;
  const int kept = budget / 4;
  int left = budget;
  for (const auto& [arrival, id] : running_) {
    State& state = sequences_.at(id);
    if (state.held || (state.decoding && state.missing() <= 1)) continue;
    const int take = state.missing() <= left ? state.missing() : std::max(0, left - kept);
    shares.push_back({id, &state, take});
    left -= take;
  }
  for (Share& share : shares) {
    const int more = std::min(left, share.state->missing() - share.rows);
    share.rows += more;
    left -= more;
  }
  for (const Share& share : shares)
    if (share.rows > 0) plan.rows.push_back(row(share.id, *share.state, share.rows));
}

Row Batch::row(uint64_t id, const State& state, int count) const {
  assert(count > 0 && state.computed + count <= static_cast<int>(state.table.pages.size()) * limits::kPageTokens);
  return {id, std::span<const int32_t>(state.tokens).subspan(static_cast<size_t>(state.computed), static_cast<size_t>(count)), state.computed,
          state.table.pages, count == state.missing()};
}

void Batch::check() const {
  pages_.check();
  assert(running() <= limits_.max_sequences);
  std::vector<int> refs(static_cast<size_t>(pages_.count()), 0);
  size_t in_queue = 0;
  for (const auto& [id, state] : sequences_) {
    if (!state.running) {
      ++in_queue;
      assert(state.table.pages.empty() && state.computed == 0);
      continue;
    }
    assert(running_.at(state.arrival) == id);
    assert(state.computed <= static_cast<int>(state.tokens.size()));
    for (int32_t page : state.table.pages) ++refs[static_cast<size_t>(page)];
  }
  assert(in_queue == static_cast<size_t>(queue_.size()));
  assert(running_.size() + in_queue == sequences_.size());
  const auto held = std::count_if(refs.begin(), refs.end(), [](int n) { return n > 0; });
  assert(held == pages_.held());
  (void)in_queue;
  (void)held;
}

}  // namespace verge::worker
