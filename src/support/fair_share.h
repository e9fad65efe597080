// Who is next, so that tenants that want more than they can have get equal parts. Pure; the one rule behind every queue.
//
// Start-time fair queueing (Goyal, Vin, Cheng 1996) with what work costs charged when it is done, as one knows it only then
// (Sheng et al. 2024, "Fairness in serving large language models"): each tenant has a tag, the work that it got; the least
// is next. Virtual time is the work that a tenant which always wanted more would have got.
//
// F1 Tenants that always want something get equal work, but for one item of each.
// F2 A tenant that comes (again) begins at virtual time: it has nothing saved up, and owes what it got beyond its part.
// F3 Virtual time goes on by cost / active tenants with each charge, as in fluid fair queueing: ever new tenants, each
//    with one item, cannot hold back one that has had its first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace verge {

class FairShare {
 public:
  // One more thing of the tenant is here; it is active until each has left. enter() and leave() come in pairs.
  void enter(const std::string& tenant) {
    Tenant& t = tenants_[tenant];
    if (t.here++ > 0) return;
    t.tag = std::max(t.tag, now_);
    t.order = --entered_;
    active_.insert({{t.tag, t.order}, tenant});
  }
  void leave(const std::string& tenant) {
    const auto it = tenants_.find(tenant);
    if (it == tenants_.end() || --it->second.here > 0) return;
    active_.erase({{it->second.tag, it->second.order}, tenant});
    forget();
  }
  // The tenant got `cost` of work (> 0); it need not be active any more.
  void charge(const std::string& tenant, double cost) {
    const auto it = tenants_.find(tenant);
    if (it == tenants_.end()) return;
    Tenant& t = it->second;
    now_ = std::max(now_, active_.empty() ? t.tag : std::min(t.tag, active_.begin()->first.first));
    if (t.here > 0) active_.erase({{t.tag, t.order}, tenant});
    t.tag += cost;
    if (t.here > 0) active_.insert({{t.tag, t.order}, tenant});
    now_ += cost / static_cast<double>(std::max<size_t>(1, active_.size()));
  }

  // Calls take(tenant) for active tenants, least served first, until it says true; the one that was taken.
  template <class Take>
  const std::string* first(Take&& take) const {
    for (const auto& [key, tenant] : active_)
      if (take(tenant)) return &tenant;
    return nullptr;
  }
  double tag(const std::string& tenant) const {
    const auto it = tenants_.find(tenant);
    return it == tenants_.end() ? now_ : it->second.tag;
  }
  size_t active() const { return active_.size(); }
  size_t known() const { return tenants_.size(); }

 private:
  using Key = std::pair<double, int64_t>;  // tag, order: of equals, who came last
  struct Tenant {
    double tag = 0;
    int64_t order = 0;
    int here = 0;
  };
  // Who is gone and owes nothing starts anew anyway; looked for only when the table has grown. Where nobody is left, nothing is owed.
  void forget() {
    if (active_.empty()) tenants_.clear();
    else if (tenants_.size() > 2 * active_.size() + 64) std::erase_if(tenants_, [this](const auto& t) { return t.second.here == 0 && t.second.tag <= now_; });
  }

  std::map<std::string, Tenant> tenants_;  // active ones and those with a debt
  std::set<std::pair<Key, std::string>> active_;
  int64_t entered_ = 0;
  double now_ = 0;  // virtual
};

}  // namespace verge
