#include "worker/batch.h"

#include <algorithm>
#include <cassert>

#include "support/overload_limits.h"

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
  VERGE_TRY(queue_.push({sequence.id, sequence.tenant, arrival, sequence.deadline_ms}, now_ms));
  share_.enter(sequence.tenant);
  left_ms_.erase(sequence.tenant);
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
  const size_t active = share_.active();
  share_.leave(state.tenant);
  if (share_.active() < active) left_ms_[state.tenant] = now_ms_;
  sequences_.erase(it);
}

void Batch::hold(uint64_t id, bool held) {
  if (const auto it = sequences_.find(id); it != sequences_.end()) it->second.held = held;
}

Plan Batch::plan(int64_t now_ms, const StepRoom& room) {
  now_ms_ = now_ms;
  ++steps_;
  std::erase_if(left_ms_, [now_ms](const auto& left) { return left.second + limits::kShareLingerMs <= now_ms; });
  Plan plan;
  for (Queue::Expired& expired : queue_.expire(now_ms)) {
    plan.expired.push_back(expired);
    remove(expired.id);
  }
  expire_running(now_ms, plan);
  const int shared = tenants(now_ms) > 1 ? std::max(room.shared, 1) : limits_.max_rows;
  const auto budget = [&](int answers) { return std::min(limits_.max_rows - answers, std::max(room.prompts, 1)); };
  // Before the answers' rows: who gives way has none in this step.
  admit(budget(std::min(decoding(), shared)));
  plan.answer_rows = plan_decode(shared, plan);
  if (plan.answer_rows == 0) admit(budget(0));  // the pages of those that lost them
  plan_prefill(budget(plan.answer_rows), std::max(0, shared - plan.answer_rows), plan);
  return plan;
}

void Batch::commit(const Plan& plan) {
  for (const Row& row : plan.rows) {
    State& state = sequences_.at(row.id);
    assert(state.running && state.computed == row.position);
    state.computed += static_cast<int>(row.tokens.size());
    if (state.missing() == 0) state.decoding = true;
    state.last_step = steps_;
    share_.charge(state.tenant, static_cast<double>(row.tokens.size()));
    pages_.publish(root(state), state.tokens, state.computed, state.table);
  }
}

void Batch::append(uint64_t id, int32_t token) {
  State& state = sequences_.at(id);
  assert(state.running && state.missing() == 0);
  state.tokens.push_back(token);
  assert(static_cast<int>(state.tokens.size()) <= state.most_tokens);
  // Its keys are those of a short text: it is read again. Not where this was its last token.
  const int tokens = static_cast<int>(state.tokens.size());
  if (tokens == limits_.long_text_from && tokens < state.most_tokens) preempt(id);
}

bool Batch::is_long(const State& state) const {
  return limits_.long_text_from > 0 && static_cast<int>(state.tokens.size()) >= limits_.long_text_from;
}

// Whose prefix cache its pages are in: long texts share none with short ones.
std::string Batch::root(const State& state) const {
  return is_long(state) ? state.tenant + '\0' + "long" : state.tenant;
}

int64_t Batch::unread_tokens() const {
  int64_t sum = 0;
  for (const auto& [id, state] : sequences_)
    if (!state.decoding) sum += state.missing();
  return sum;
}

int Batch::decoding() const {
  return static_cast<int>(std::ranges::count_if(running_, [this](const auto& one) { return sequences_.at(one.second).wants_row(); }));
}

int Batch::tenants(int64_t now_ms) const {
  const auto late = std::ranges::count_if(left_ms_, [now_ms](const auto& left) { return left.second + limits::kShareLingerMs > now_ms; });
  return static_cast<int>(share_.active()) + static_cast<int>(late);
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
  state.replayed = true;
  state.computed = 0;
  ++preemptions_;
  queue_.push_replay({id, state.tenant, state.arrival, state.deadline_ms});
}

// Which sequences get a row, at most `most`; oldest first.
std::vector<uint64_t> Batch::choose_decode(int most) const {
  std::vector<uint64_t> all;
  for (const auto& [arrival, id] : running_)
    if (sequences_.at(id).wants_row()) all.push_back(id);
  if (static_cast<int>(all.size()) <= most) return all;
  // Of each tenant, those first that have waited longest.
  std::map<std::string, std::vector<uint64_t>> lines;
  for (uint64_t id : all) lines[sequences_.at(id).tenant].push_back(id);
  struct Turn {
    double tag;
    const std::string* tenant;
    std::vector<uint64_t>* line;
    size_t next = 0;
  };
  std::vector<Turn> turns;
  for (auto& [tenant, line] : lines) {
    std::ranges::stable_sort(line, {}, [this](uint64_t id) { return sequences_.at(id).last_step; });
    turns.push_back({share_.tag(tenant), &tenant, &line});
  }
  std::vector<uint64_t> chosen;
  while (static_cast<int>(chosen.size()) < most) {
    Turn* least = nullptr;
    for (Turn& turn : turns)
      if (turn.next < turn.line->size() && (!least || turn.tag < least->tag)) least = &turn;
    chosen.push_back((*least->line)[least->next++]);
    least->tag += 1;
  }
  std::ranges::sort(chosen, {}, [this](uint64_t id) { return sequences_.at(id).arrival; });
  return chosen;
}

int Batch::plan_decode(int most, Plan& plan) {
  int rows = 0;
  // Again where all that were chosen have lost their pages: a step that has work gives rows.
  do {
    for (uint64_t id : choose_decode(most)) {
      State& state = sequences_.at(id);
      if (!state.running) continue;  // an older one has taken its pages
      if (!ensure_page(state)) continue;
      plan.rows.push_back(row(id, state, 1));
      ++rows;
    }
  } while (rows == 0 && decoding() > 0);
  return rows;
}

// The first of the least served tenant that has one and is not among `passed`.
std::optional<uint64_t> Batch::next_waiting(const std::set<std::string>& passed) const {
  std::optional<uint64_t> next;
  share_.first([&](const std::string& tenant) { return !passed.contains(tenant) && (next = queue_.front(tenant)).has_value(); });
  return next;
}

void Batch::admit(int budget) {
  int reading = 0, rows = 0;
  for (const auto& [arrival, id] : running_) {
    const State& state = sequences_.at(id);
    if (!state.wants_reading()) continue;
    ++reading;
    rows += state.missing();
  }
  std::set<std::string> passed;
  while (!queue_.empty()) {
    const std::optional<uint64_t> next = next_waiting(passed);
    if (!next) return;
    const std::string& tenant = sequences_.at(*next).tenant;
    // Enough is being read already; but not of this tenant, where it is the least served.
    if (rows >= budget && reading >= kReadingAtOnce && !reads_nothing(tenant)) return;
    if (!admit_one(*next)) {
      // Who has something running waits for that, and not everybody else behind it.
      if (!held_by_tenant().contains(tenant)) return;
      passed.insert(tenant);
      continue;
    }
    ++reading;
    rows += sequences_.at(*next).missing();
  }
}

bool Batch::reads_nothing(const std::string& tenant) const {
  return std::ranges::none_of(running_, [&](const auto& one) {
    const State& state = sequences_.at(one.second);
    return state.tenant == tenant && state.wants_reading();
  });
}

std::map<std::string, Batch::Held> Batch::held_by_tenant() const {
  std::map<std::string, Held> held;
  for (const auto& [arrival, id] : running_) {
    const State& state = sequences_.at(id);
    Held& one = held[state.tenant];
    ++one.sequences;
    one.pages += static_cast<int>(state.table.pages.size());
  }
  return held;
}

// Takes a slot (pages = 0) or pages from the tenant that has most of them, if it would still have as much as `state`'s
// tenant then has: so nothing goes back and forth. Its youngest sequence gives way; the oldest of all never does, for that
// tenant has two.
bool Batch::make_room(const State& state, int pages) {
  const auto held = held_by_tenant();
  const auto own_it = held.find(state.tenant);
  const Held own = own_it == held.end() ? Held{} : own_it->second;
  const std::string* most = nullptr;
  int most_held = 0;
  for (const auto& [tenant, one] : held) {
    const int size = pages > 0 ? one.pages : one.sequences;
    if (tenant == state.tenant || one.sequences < 2 || size <= most_held) continue;
    most = &tenant;
    most_held = size;
  }
  if (!most) return false;
  const auto youngest = std::find_if(running_.rbegin(), running_.rend(), [&](const auto& one) { return sequences_.at(one.second).tenant == *most; });
  const uint64_t id = youngest->second;
  const State& victim = sequences_.at(id);
  const bool fair = pages > 0 ? most_held - static_cast<int>(victim.table.pages.size()) >= own.pages + pages : most_held - 1 >= own.sequences + 1;
  if (!fair) return false;
  preempt(id);
  return true;
}

bool Batch::admit_one(uint64_t id) {
  State& state = sequences_.at(id);
  if (running() >= limits_.max_sequences && !make_room(state, 0)) return false;
  const int tokens = static_cast<int>(state.tokens.size());
  // At least the last token is computed, for its logits.
  const int found = pages_.match(root(state), state.tokens, tokens - 1, state.table);
  const int needed = pages_for(std::min(tokens + 1, state.most_tokens)) - static_cast<int>(state.table.pages.size());
  while (pages_.available() < needed + running()) {
    if (make_room(state, needed)) continue;
    pages_.release(state.table);
    return false;
  }
  if (!pages_.allocate(needed, state.table)) {
    pages_.release(state.table);
    return false;
  }
  queue_.remove(id);
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

// Pages that others have published since it was admitted.
void Batch::take_cached(State& state) {
  if (state.computed != state.table.published * limits::kPageTokens) return;  // in the middle of a page of its own
  const int before = state.computed;
  state.computed = pages_.extend(root(state), state.tokens, before, static_cast<int>(state.tokens.size()) - 1, state.table);
  if (state.replayed) return;
  state.cached += state.computed - before;
  prefix_hits_ += static_cast<uint64_t>(state.computed - before);
}

// Whether what `reader` computes next is the page that `other` needs next.
bool Batch::reads_for(const State& reader, const State& other) const {
  const int page = other.table.published, first = page * limits::kPageTokens;
  const int end = first + limits::kPageTokens;
  if (reader.tenant != other.tenant || is_long(reader) != is_long(other) || other.computed != first || end >= static_cast<int>(other.tokens.size())) return false;
  if (reader.table.published != page || end > static_cast<int>(reader.tokens.size())) return false;
  if (page > 0 && reader.table.pages[page - 1] != other.table.pages[page - 1]) return false;
  return std::equal(reader.tokens.begin() + first, reader.tokens.begin() + end, other.tokens.begin() + first);
}

// `budget` rows in all; `shared` of them for others than the least served tenant.
void Batch::plan_prefill(int budget, int shared, Plan& plan) {
  struct Share {
    uint64_t id;
    State* state;
    double tag;
    int rows;
  };
  std::vector<Share> shares;
  for (const auto& [arrival, id] : running_) {
    State& state = sequences_.at(id);
    if (!state.wants_reading()) continue;
    take_cached(state);
    // An older one, or one further into the page: it is never itself one that waits for this one.
    const bool waits = std::ranges::any_of(shares, [&](const Share& share) { return reads_for(*share.state, state); });
    if (!waits) shares.push_back({id, &state, share_.tag(state.tenant), 0});
  }
  std::ranges::stable_sort(shares, {}, &Share::tag);
  const std::string* least = share_.first([&](const std::string& tenant) {
    return std::ranges::any_of(running_, [&](const auto& one) { return sequences_.at(one.second).tenant == tenant; });
  });
  const int kept = budget / 4;
  int left = budget;
  const auto room = [&](const Share& share) { return least && share.state->tenant == *least ? left : std::min(left, shared); };
  const auto give = [&](Share& share, int rows) {
    share.rows += rows;
    left -= rows;
    if (!least || share.state->tenant != *least) shared -= rows;
  };
  for (Share& share : shares) give(share, share.state->missing() <= room(share) ? share.state->missing() : std::max(0, room(share) - kept));
  for (Share& share : shares) give(share, std::min(room(share), share.state->missing() - share.rows));
  for (const Share& share : shares)
    if (share.rows > 0) plan.rows.push_back(row(share.id, *share.state, share.rows));
}

Row Batch::row(uint64_t id, const State& state, int count) const {
  assert(count > 0 && state.computed + count <= static_cast<int>(state.table.pages.size()) * limits::kPageTokens);
  return {id, std::span<const int32_t>(state.tokens).subspan(static_cast<size_t>(state.computed), static_cast<size_t>(count)), state.computed,
          state.table.pages, count == state.missing(), static_cast<int>(state.tokens.size())};
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
