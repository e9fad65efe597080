// Tells the other gateways what accounts with limits have under way and had in the last minute here, and hears the same of them:
// accounts/shared_counts.h says what that is good for.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/shared_counts.h"
#include "cluster/bus.h"

namespace verge::cluster {

struct LimitGossipOptions {
  std::string name;  // of this gateway
  std::function<accounts::SharedCounts::Told()> own;   // what is to be told now
  std::function<void(int64_t gateways)> gateways;      // how many there are, where that has changed
};

class LimitGossip {
 public:
  // Listens and speaks from now on, on the one io thread. The bus and `counts` outlive it.
  static std::shared_ptr<LimitGossip> make(boost::asio::any_io_executor executor, Bus& bus, accounts::SharedCounts& counts, LimitGossipOptions options);
  virtual ~LimitGossip() = default;
  // Says good-bye: no part of a limit need be kept for this gateway.
  virtual void stop() = 0;
};

// Messages: {"v": 1, "boot": 1790000000000, "counts": {"acme": {"under_way": 2, "in_minute": {"text-generation": 17}}}}. Pure.
struct LimitMessage {
  int64_t boot = 0;
  bool leaving = false;
  accounts::SharedCounts::Told told;
};
std::vector<std::string> encode(const LimitMessage& message);
// InvalidInput.
Result<LimitMessage> decode_limits(std::string_view text);

}  // namespace verge::cluster
