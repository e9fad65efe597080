// Bytes promised to models. A load reserves before it starts; the sum never passes the budget.
// Pure: says which idle models must go first, node.cpp stops them.
//
// L1 No reservation lets the sum pass the budget. What a loaded model turns out to hold may: it is counted as it is (adjust()), nothing
//    is reserved until the sum is back, and adjust() says who must go for it.
// L2 A pinned model, one with requests in flight, and one younger than the minimum residence are
//    never chosen for eviction: two models that fit together never push each other out, and two that
//    do not fit swap at most once per residence.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace verge::node {

inline constexpr int64_t kMinimumResidenceMs = 10'000;

class Ledger {
 public:
  explicit Ledger(uint64_t budget_bytes) : budget_(budget_bytes) {}

  struct Plan {
    enum class Kind { Fits, EvictFirst, WaitFor, Never };
    Kind kind = Kind::Fits;
    std::vector<std::string> evict;  // EvictFirst: stop these, then ask again
    int64_t wait_ms = 0;             // WaitFor: busy models hold the memory; ask again after
  };
  // What must happen before `bytes` can be promised to `model`. Changes nothing.
  Plan plan(std::string_view model, uint64_t bytes, int64_t now_ms) const;

  // False (and nothing changed) where L1 would break.
  bool reserve(const std::string& model, uint64_t bytes, bool pinned, int64_t now_ms);
  // What the model holds really replaces the estimate, whatever it is. The plan is what must happen for it; Never: the model passes
  // the budget alone, or beside pinned ones, and has to go itself.
  Plan adjust(std::string_view model, uint64_t bytes, int64_t now_ms);
  void release(std::string_view model);
  void touch(std::string_view model, int in_flight, int64_t now_ms);

  uint64_t budget() const { return budget_; }
  uint64_t reserved() const { return reserved_; }
  bool over() const { return reserved_ > budget_; }

 private:
  // `others`: what is promised to all but the model.
  Plan room_for(std::string_view model, uint64_t bytes, uint64_t others, int64_t now_ms) const;
  struct Promise {
    uint64_t bytes = 0;
    bool pinned = false;
    int in_flight = 0;
    int64_t since_ms = 0;
    int64_t last_used_ms = 0;
  };
  uint64_t budget_ = 0;
  uint64_t reserved_ = 0;
  std::map<std::string, Promise, std::less<>> promises_;
};

}  // namespace verge::node
