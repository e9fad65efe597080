// One account's requests a minute and requests at once, held over all gateways of a cluster. Gateways tell each other their counts
// a few times a second; between two tellings each takes no more than its part of what it knows to be left, and who wants more waits
// a moment for news. Pure. Times are in ms of a clock that never goes back.
//
// SC1 While G gateways hear each other within kHearMs, an account gets at most its limit and G - 1 more.
// SC2 A gateway that is silent may be cut off and not dead: for kSilentForMs its part of each limit is kept for it. One that hears
//    nobody (its bus is away) keeps the others' parts for them as long as that lasts. So gateways that are cut off from each other
//    let through their parts, and at least one request each.
// SC3 A gateway's counts of the last minute outlive it elsewhere, and not at itself: its restart gives an account at most what it had
//    let through there.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace verge::accounts {

inline constexpr int64_t kTellMs = 200;
inline constexpr int64_t kHearMs = 500;                  // from a request to its count's arrival at the others
inline constexpr int64_t kSilentAfterMs = 1'500;
inline constexpr int64_t kSilentForMs = 60'000;

// What others have, and among how many gateways the rest is shared, this one included.
struct Elsewhere {
  int64_t count = 0;
  int64_t gateways = 1;
};

// What one gateway takes of one limit.
class Allowance {
 public:
  enum class Verdict {
    Granted,  // say taken()
    Wait,     // its part is taken, more may be there when the others were heard
    Refused,  // nothing is left
  };
  // own: what this gateway has of it now.
  Verdict ask(int64_t own, const Elsewhere& elsewhere, int64_t limit, int64_t now_ms);
  void taken(int64_t now_ms);
  // What was taken then is no longer under way.
  void given_back(int64_t taken_ms, int64_t now_ms);

 private:
  // What the others may not have heard of: twice kHearMs, since what they took without it must be heard here too.
  static constexpr int64_t kSlotMs = 100;
  static constexpr int64_t kSlots = 2 * kHearMs / kSlotMs + 1;
  void advance(int64_t now_ms);

  std::array<int64_t, kSlots> fresh_{};
  int64_t slot_ = 0;  // the newest
};

class SharedCounts {
 public:
  struct Counts {
    int64_t under_way = 0;
    std::map<std::string, int64_t, std::less<>> in_minute;  // by what the rate is of (meter.h)
    bool operator==(const Counts&) const = default;
  };
  using Told = std::map<std::string, Counts, std::less<>>;  // by account

  // gateways: of the cluster, as known from an earlier run. They count until this one has listened for a moment.
  explicit SharedCounts(int64_t gateways) : assumed_(gateways) {}

  // Another gateway's word; `boot` tells its runs apart.
  void heard(const std::string& gateway, int64_t boot, const Told& told, int64_t now_ms);
  void left(const std::string& gateway, int64_t now_ms);
  void connected(bool bus, int64_t now_ms);

  Elsewhere under_way(std::string_view account, int64_t limit, int64_t now_ms) const;
  Elsewhere in_minute(std::string_view account, std::string_view rate, int64_t limit, int64_t now_ms) const;
  // With this one.
  int64_t gateways(int64_t now_ms) const;
  // It is known who there is.
  bool settled(int64_t now_ms) const;

 private:
  struct Entry {
    Counts counts;
    int64_t heard_ms = 0;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;
  struct Gateway {
    int64_t boot = 0, heard_ms = 0;
    bool left = false;
    Entries entries, former;  // of this run, of the one before
  };
  template <class Of>
  Elsewhere elsewhere(std::string_view account, int64_t limit, int64_t now_ms, bool outlives, Of of) const;

  std::map<std::string, Gateway> others_;
  int64_t assumed_;
  int64_t connected_ms_ = -1;  // since then; -1: the bus is away
};

}  // namespace verge::accounts
