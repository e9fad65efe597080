#include "accounts/shared_counts.h"

#include <algorithm>
#include <utility>

namespace verge::accounts {
namespace {

constexpr int64_t kSettleMs = 2'000;
constexpr int64_t kEntryMs = 10'000;   // what was not said again by then is over
constexpr int64_t kMinuteMs = 62'000;  // a window and its slots
constexpr size_t kMostGateways = 1'000, kMostAccounts = 100'000;

}  // namespace

void Allowance::advance(int64_t now_ms) {
  const int64_t slot = now_ms / kSlotMs;
  for (int64_t s = std::max(slot_ + 1, slot - kSlots + 1); s <= slot; ++s) fresh_[static_cast<size_t>(s % kSlots)] = 0;
  slot_ = std::max(slot_, slot);
}

Allowance::Verdict Allowance::ask(int64_t own, const Elsewhere& elsewhere, int64_t limit, int64_t now_ms) {
  if (own + elsewhere.count >= limit) return Verdict::Refused;
  if (elsewhere.gateways <= 1) return Verdict::Granted;
  advance(now_ms);
  int64_t fresh = 0;
  for (int64_t count : fresh_) fresh += count;
  fresh = std::min(fresh, own);
  const int64_t left = limit - (own - fresh) - elsewhere.count;
  return fresh < (left + elsewhere.gateways - 1) / elsewhere.gateways ? Verdict::Granted : Verdict::Wait;
}

void Allowance::taken(int64_t now_ms) {
  advance(now_ms);
  ++fresh_[static_cast<size_t>(slot_ % kSlots)];
}

void Allowance::given_back(int64_t taken_ms, int64_t now_ms) {
  advance(now_ms);
  const int64_t slot = taken_ms / kSlotMs;
  if (slot <= slot_ - kSlots) return;
  int64_t& count = fresh_[static_cast<size_t>(slot % kSlots)];
  count = std::max<int64_t>(count - 1, 0);
}

void SharedCounts::heard(const std::string& gateway, int64_t boot, const Told& told, int64_t now_ms) {
  if (!others_.contains(gateway) && others_.size() >= kMostGateways) return;
  Gateway& other = others_[gateway];
  if (other.boot != boot) other.former = std::exchange(other.entries, {});
  other.boot = boot;
  other.heard_ms = now_ms;
  other.left = false;
  std::erase_if(other.entries, [&](const auto& entry) { return now_ms - entry.second.heard_ms > kEntryMs; });
  std::erase_if(other.former, [&](const auto& entry) { return now_ms - entry.second.heard_ms > kMinuteMs; });
  for (const auto& [account, counts] : told)
    if (other.entries.size() < kMostAccounts || other.entries.contains(account)) other.entries[account] = {counts, now_ms};
}

void SharedCounts::left(const std::string& gateway, int64_t now_ms) {
  const auto found = others_.find(gateway);
  if (found == others_.end()) return;
  found->second.left = true;
  found->second.heard_ms = now_ms;
}

void SharedCounts::connected(bool bus, int64_t now_ms) {
  if (!bus) {
    connected_ms_ = -1;
    return;
  }
  if (connected_ms_ >= 0) {
    std::erase_if(others_, [&](const auto& other) { return now_ms - other.second.heard_ms > kSilentForMs; });
    return;
  }
  connected_ms_ = now_ms;
  // Who could not be heard is given the time to be.
  for (auto& [name, other] : others_) other.heard_ms = std::max(other.heard_ms, now_ms - kSilentAfterMs);
}

bool SharedCounts::settled(int64_t now_ms) const { return connected_ms_ >= 0 && now_ms - connected_ms_ >= kSettleMs; }

int64_t SharedCounts::gateways(int64_t now_ms) const {
  int64_t known = 1;
  for (const auto& [name, other] : others_) known += !other.left;
  return settled(now_ms) ? known : std::max(known, assumed_);
}

template <class Of>
Elsewhere SharedCounts::elsewhere(std::string_view account, int64_t limit, int64_t now_ms, bool outlives, Of of) const {
  Elsewhere out;
  out.gateways = gateways(now_ms);
  const int64_t part = std::max<int64_t>(limit, 0) / out.gateways;
  int64_t present = 1, silent = 0;
  const auto count_in = [&](const Entries& entries) {
    const auto found = entries.find(account);
    return found == entries.end() ? int64_t{0} : of(found->second.counts);
  };
  for (const auto& [name, other] : others_) {
    int64_t count = other.left && !outlives ? 0 : count_in(other.entries);
    if (!other.left) {
      ++present;
      if (connected_ms_ < 0 || now_ms - other.heard_ms > kSilentAfterMs) {
        ++silent;
        count = std::max(count, part);
      }
    }
    if (outlives) count += count_in(other.former);
    out.count += count;
  }
  // Known from before, and not heard yet.
  out.count += (out.gateways - present) * part;
  silent += out.gateways - present;
  if (silent > 0) out.count = std::min(out.count, limit - std::max<int64_t>(part, 1));
  return out;
}

Elsewhere SharedCounts::under_way(std::string_view account, int64_t limit, int64_t now_ms) const {
  return elsewhere(account, limit, now_ms, false, [](const Counts& counts) { return counts.under_way; });
}

Elsewhere SharedCounts::in_minute(std::string_view account, std::string_view rate, int64_t limit, int64_t now_ms) const {
  return elsewhere(account, limit, now_ms, true, [&](const Counts& counts) {
    const auto found = counts.in_minute.find(rate);
    return found == counts.in_minute.end() ? int64_t{0} : found->second;
  });
}

}  // namespace verge::accounts
