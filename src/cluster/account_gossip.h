// Keeps tokens and accounts' limits the same at all gateways, over a bus that loses messages.
//
//   * What changed here, by whatever process, is told within half a second.
//   * Every few seconds a gateway says digests of what it holds. Who holds something else in one of the parts tells its records of
//     that part; so does the other one, and both have the same then (accounts/records.h).
//
// K1 Nothing counts on a message to arrive. Gateways that hear each other come to hold the same, in whatever state they began.
// K2 The cluster's record `tokens-required` (a value on the bus) is written by every gateway that wants tokens. A gateway that has
//    never heard of its cluster reads it, and lets nobody in before (accounts.h, AC3).
// K3 A secret is never told: hashes are.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <map>
#include <memory>
#include <string>

#include "accounts/accounts.h"
#include "cluster/bus.h"
#include "support/metrics.h"

namespace verge::cluster {

struct AccountGossipOptions {
  std::string name;   // of this gateway
  int tick_ms = 500;  // all other times are multiples of it
  metrics::Registry* metrics = nullptr;
};

class AccountGossip {
 public:
  // Listens and speaks from now on, on the one io thread. `accounts` has joined the cluster; it and the bus outlive the gossip.
  static std::shared_ptr<AccountGossip> make(boost::asio::any_io_executor executor, Bus& bus, accounts::Accounts& accounts, AccountGossipOptions options);
  virtual ~AccountGossip() = default;

  virtual void tell_uses(const std::map<std::string, int64_t>& used_ms) = 0;
  // The last word: tells what changed since the last one.
  virtual void stop() = 0;
};

}  // namespace verge::cluster
