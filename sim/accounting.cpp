// What accounts/meter.cpp does, without coroutines: a request of a tenant with a daily allocation reserves its estimate before it is routed
// and settles for what it took. The gateways lease from one record, which is at one place of this world: a wire away, and not
// always to be reached. The day ends in the middle of the run, at each gateway by its own clock.
#include "sim/world.h"

namespace verge::sim {
namespace {

using accounts::Quota;

constexpr double kTokensOfAnswer = 4;   // a token made costs as much as so many read
constexpr double kEstimate = 1.5;       // nobody knows how long an answer gets
constexpr int64_t kUnit = 1000;         // micro-neurons a token
constexpr int kCutOffPercent = 5;       // as `verge serve --quota-cut-off`
constexpr double kLost = 0.01;          // of the record's answers, after it was changed

int64_t neurons(double prompt, double answer) { return static_cast<int64_t>(prompt + kTokensOfAnswer * answer) * kUnit; }

}  // namespace

void World::build_allocations() {
  quota_random_ = Random(random_at(config_.seed, 77));
  const double midnight_s = config_.seconds * (0.2 + quota_random_.unit());
  epoch_ms_ = 20'000 * accounts::kDayMs - static_cast<int64_t>(1e6 + midnight_s * 1000);  // clocks of gateways are a million ms ahead of the agenda's
  record_city_ = static_cast<int>(quota_random_.below(static_cast<uint64_t>(config_.regions)));
  // Two of the five that are not the flood, of whom some run dry.
  const double share = config_.load * config_.seconds / 5 * static_cast<double>(neurons(500, 90));
  for (int tenant : {1, 2}) allocations_[tenant] = std::max<int64_t>(1, static_cast<int64_t>(share * (0.2 + 1.2 * quota_random_.unit())));
  if (!quota_random_.chance(0.3)) return;
  const Micros from = ms(config_.seconds * 1000 * quota_random_.unit());
  record_away_ = {from, from + ms(1'000 + 9'000 * quota_random_.unit())};
}

// The tenant's request may run, waits for a lease, or is refused.
void World::admit(int c, int round) {
  Client& client = *clients_[static_cast<size_t>(c)];
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  const auto allocation = allocations_.find(client.tenant);
  if (allocation == allocations_.end()) return admitted(c);
  const int64_t limit = allocation->second, now_ms = unix_ms(gateway);
  Allowance& allowance = gateway.allowances[client.tenant];
  client.admitted_ms = now_ms;
  const Quota::Answer answer = allowance.quota.reserve(neurons(client.prompt, kEstimate * std::max(1, client.output)), limit, limit / 100 * kCutOffPercent, now_ms);
  if (allowance.quota.owed() > 0) allowance.alone.insert(accounts::day_of(now_ms));
  if (answer.verdict == Quota::Verdict::Granted) {
    client.reservation = answer.reservation;
    if (allowance.quota.wants_ahead(limit, now_ms)) lease(client.gateway, client.tenant, allowance.quota.lease_size(limit, now_ms));
    return admitted(c);
  }
  if (answer.verdict == Quota::Verdict::NeedsLease && round < limits::kLeaseTries) {
    allowance.waiting.emplace_back(c, round + 1);
    return lease(client.gateway, client.tenant, answer.wanted);
  }
  if (++client.ends != 1) violate("a request was answered twice");
  --open_;
  ++report_.refused;
  client.refused = true;
  mix(static_cast<uint64_t>(c) * 37);
}

void World::settle(Client& client) {
  const auto allocation = allocations_.find(client.tenant);
  if (allocation == allocations_.end()) return;
  Gateway& gateway = *gateways_[static_cast<size_t>(client.gateway)];
  Allowance& allowance = gateway.allowances[client.tenant];
  const int64_t taken = client.error ? 0 : neurons(client.prompt, client.got);  // what failed costs nothing
  allowance.quota.settle(client.reservation, taken, unix_ms(gateway));
  allowance.ledger[accounts::day_of(client.admitted_ms)] += taken;
  client.charged = taken;
  largest_ = std::max(largest_, neurons(client.prompt, kEstimate * std::max(1, client.output)));
}

void World::lease(int g, int tenant, int64_t wanted) {
  Allowance& allowance = gateways_[static_cast<size_t>(g)]->allowances[tenant];
  if (std::exchange(allowance.leasing, true)) return;
  take_lease(g, tenant, wanted, allowance.quota.day(), allowance.quota.owed(), 0);
}

void World::take_lease(int g, int tenant, int64_t wanted, int64_t day, int64_t owed, int tries) {
  Allowance& allowance = gateways_[static_cast<size_t>(g)]->allowances[tenant];
  const int64_t limit = allocations_.at(tenant);
  const auto again = [=, this](const std::optional<Lease>& seen, bool mine, int64_t take) {
    Allowance& now = gateways_[static_cast<size_t>(g)]->allowances[tenant];
    now.seen = seen;
    now.seen_day = day;
    if (seen && mine) now.quota.leased(day, take, owed, limit);
    else if (!seen || tries >= limits::kLeaseTries) now.quota.unreachable(day, unix_ms(*gateways_[static_cast<size_t>(g)]));
    else return take_lease(g, tenant, wanted, day, owed, tries + 1);
    leased(g, tenant);
  };
  if (!allowance.seen || allowance.seen_day != day) return ask_record(g, tenant, day, {}, [again](std::optional<Lease> seen, bool) { again(seen, false, 0); });
  const accounts::LeasePlan plan = accounts::plan_lease(allowance.seen->leased, limit, wanted, owed);
  if (plan.next == allowance.seen->leased) {
    allowance.quota.leased(day, 0, 0, limit);
    return leased(g, tenant);
  }
  ask_record(g, tenant, day, Lease{allowance.seen->revision, plan.next}, [again, take = plan.take](std::optional<Lease> seen, bool changed) { again(seen, changed, take); });
}

void World::leased(int g, int tenant) {
  Allowance& allowance = gateways_[static_cast<size_t>(g)]->allowances[tenant];
  allowance.leasing = false;
  for (const auto& [c, round] : std::exchange(allowance.waiting, {})) admit(c, round);
}

// Reads the record, or sets it where its revision is still the one of `change`. nullopt: no answer came.
void World::ask_record(int g, int tenant, int64_t day, std::optional<Lease> change, std::function<void(std::optional<Lease>, bool changed)> answer) {
  const int city = gateways_[static_cast<size_t>(g)]->city;
  const auto away = [this] { return agenda_.now() >= record_away_.first && agenda_.now() < record_away_.second; };
  const auto wire_ms = [this](int from, int to) { return one_way_ms(static_cast<size_t>(from), static_cast<size_t>(to)) * (1 + 0.1 * quota_random_.unit()); };
  const Micros gives_up = agenda_.now() + ms(limits::kLeaseStoreMs);
  const auto in_vain = [this, answer, gives_up] { agenda_.at(gives_up, [answer] { answer(std::nullopt, false); }); };
  if (away() || cut(city, record_city_)) return in_vain();
  agenda_.in(ms(wire_ms(city, record_city_)), [=, this] {
    if (away()) return in_vain();
    Lease& record = records_[{tenant, day}];
    const bool changed = change && change->revision == record.revision;
    if (changed) record = {record.revision + 1, change->leased};
    if (cut(record_city_, city) || quota_random_.chance(kLost)) return in_vain();
    agenda_.in(ms(wire_ms(record_city_, city)), [answer, now = record, changed] { answer(now, changed); });
  });
}

// What all gateways have booked is what clients were answered for, and no more than the stated bound (accounts/quota.h, Q2).
void World::check_books() {
  std::map<std::pair<int, int64_t>, int64_t> answered, booked;
  for (const auto& client : clients_)
    if (allocations_.count(client->tenant) && !client->refused) answered[{client->tenant, accounts::day_of(client->admitted_ms)}] += client->charged;
  std::map<std::pair<int, int64_t>, int64_t> room;  // above the limit
  for (const auto& gateway : gateways_) {
    for (const auto& [tenant, allowance] : gateway->allowances) {
      if (allowance.quota.reserved()) violate("a reservation was never settled");
      if (!allowance.waiting.empty()) violate("a request waits for a lease for ever");
      for (const auto& [day, spent] : allowance.ledger) {
        booked[{tenant, day}] += spent;
        room[{tenant, day}] += largest_ + (allowance.alone.count(day) ? allocations_.at(tenant) / 100 * kCutOffPercent : 0);
      }
    }
  }
  std::erase_if(booked, [](const auto& entry) { return entry.second == 0; });
  std::erase_if(answered, [](const auto& entry) { return entry.second == 0; });
  if (answered != booked) violate("the ledgers differ from the answers");
  for (const auto& [key, spent] : booked) {
    const int64_t limit = allocations_.at(key.first);
    if (spent > limit + room[key]) violate(fmt::format("tenant {} spent {:.2f} of its allocation; the bound is {:.2f}", key.first, static_cast<double>(spent) / static_cast<double>(limit), static_cast<double>(limit + room[key]) / static_cast<double>(limit)));
    report_.overshoot = std::max(report_.overshoot, static_cast<double>(spent - limit) / static_cast<double>(room[key]));
  }
}

}  // namespace verge::sim
