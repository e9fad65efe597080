// One account's daily allocation of neurons, as one gateway spends it. Pure: no clock, socket or thread; the shell
// (meter.h) carries the leases. All amounts are micro-neurons.
//
// A request reserves its estimate, and settles for what it really took. A gateway spends only what it has leased: the
// shared record (lease_store.h) counts what all gateways have leased, and no lease goes past the limit. A gateway that
// cannot reach the record grants itself a small share of the limit (`cut_off`), which it adds to the record later.
//
// Q1 What is reserved and spent is at most what was granted, but for one request under way: where less is left than its
//    estimate it may still run (so the last neurons are of use), and what it takes beyond that is overshoot.
// Q2 With G gateways an account spends in a day at most
//      limit + G x (cut_off + largest request),
//    where the first term of the bracket is 0 for gateways that were never cut off. "Largest request" holds as far as
//    estimates are no lower than what requests take; what they take beyond their estimates is added.
// Q3 Each day (UTC) starts with nothing spent. What was reserved before midnight settles against the day before.
// Q4 Requests that cost nothing are always granted.
#pragma once

#include <cstdint>

namespace verge::accounts {

// Micro-neurons are the unit of all books: a millionth of a neuron, so that sums are exact in integers.
inline constexpr int64_t kMicro = 1'000'000;
inline constexpr int64_t kFreeNeurons = 10'000;  // a day and account, as published

inline constexpr int64_t kDayMs = 86'400'000;
inline int64_t day_of(int64_t unix_ms) { return unix_ms >= 0 ? unix_ms / kDayMs : -1; }
inline int64_t ms_to_midnight(int64_t unix_ms) { return kDayMs - unix_ms % kDayMs; }

struct Reservation {
  int64_t day = 0;
  int64_t amount = 0;
  bool last = false;  // less than its estimate: see Q1
};

class Quota {
 public:
  Quota() = default;
  // After a restart: what this gateway's books say was spent in that day already counts as spent without the record, so
  // that a gateway that dies again and again while it is cut off gets its share once.
  Quota(int64_t day, int64_t spent_before) : day_(day), cut_off_used_(spent_before) {}

  enum class Verdict {
    Granted,
    NeedsLease,  // take a lease of `wanted` (or say that it cannot be had), then ask again
    Spent,       // the allocation is used up until midnight
    Held,        // what is left is reserved by requests under way, or the record cannot be reached: a retry helps
  };
  struct Answer {
    Verdict verdict = Verdict::Spent;
    Reservation reservation;  // Granted
    int64_t wanted = 0;       // NeedsLease
  };

  // limit: of the day; cut_off: what may be spent of it without the record.
  Answer reserve(int64_t estimate, int64_t limit, int64_t cut_off, int64_t now_ms);
  void settle(const Reservation& reservation, int64_t taken, int64_t now_ms);
  void give_back(const Reservation& reservation, int64_t now_ms) { settle(reservation, 0, now_ms); }

  // What came of asking the record. `day` is the one that was asked for: an answer of yesterday changes nothing.
  void leased(int64_t day, int64_t amount, int64_t owed_paid, int64_t limit);
  void unreachable(int64_t day, int64_t now_ms);

  // True where the next requests will need a lease soon: to be taken beside them, not while they wait.
  bool wants_ahead(int64_t limit, int64_t now_ms) const;
  int64_t lease_size(int64_t limit, int64_t now_ms) const;

  int64_t day() const { return day_; }
  int64_t owed() const { return owed_; }  // granted without the record, not yet added to it
  int64_t spent() const { return spent_; }
  int64_t reserved() const { return reserved_; }
  int64_t granted() const { return granted_; }

 private:
  int64_t free() const { return granted_ - spent_ - reserved_; }
  void roll(int64_t now_ms);
  double rate(int64_t now_ms) const;  // spent a ms, of late

  int64_t day_ = -1;
  int64_t granted_ = 0, spent_ = 0, reserved_ = 0;
  int64_t owed_ = 0, cut_off_used_ = 0;
  int64_t used_up_at_ = -1;     // the limit at which the record had nothing left
  int64_t unreachable_ms_ = 0;  // asked in vain until then: not again before
  bool last_under_way_ = false;
  double recent_ = 0;           // spent, forgotten with kForgetMs
  int64_t recent_ms_ = 0;
};

// What to write to the record for a lease: `take` is the lease (0 = nothing is left), `next` the new number.
struct LeasePlan {
  int64_t take = 0;
  int64_t next = 0;
};
LeasePlan plan_lease(int64_t leased, int64_t limit, int64_t wanted, int64_t owed);

}  // namespace verge::accounts
