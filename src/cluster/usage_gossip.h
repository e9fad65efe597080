// Brings the usage rows of all gateways into every gateway's book, over a bus that loses messages. A gateway's rows are in an order
// to which it only appends (accounts/usage_book.h, U4), so one mark a gateway says what somebody has of it.
//
//   * A gateway tells all its new rows once a second, and every few seconds its marks: up to where it has each one's rows.
//   * Who sees from that that another lacks rows of its own sends it the next batch, to it alone, and waits for its new mark. Rows that
//     come after a gap are left out, and their sender is told the mark at once.
//
// UG1 Nothing counts on a message to arrive: what a book lacks is sent until its mark says otherwise, and a mark moves in the
//    transaction that writes the rows.
// UG2 A row is taken from its own gateway's subject only (the bus lets a member speak under its own name alone). So rows of a gateway
//    that is gone are where it had sent them, and everywhere once it is back.
// UG3 What is sent again in a second is bounded, whatever others ask for.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

#include "accounts/ledger.h"
#include "cluster/bus.h"
#include "support/metrics.h"

namespace verge::cluster {

struct UsageGossipOptions {
  std::string name;         // of this gateway, as in its ledger
  int tick_ms = 1'000;      // new rows are told so often; all other times are multiples of it
  metrics::Registry* metrics = nullptr;
};

class UsageGossip {
 public:
  // Listens and speaks from now on, on the one io thread. The ledger is open as `shared`; it and the bus outlive the gossip.
  static Result<std::shared_ptr<UsageGossip>> make(boost::asio::any_io_executor executor, Bus& bus, accounts::Ledger& ledger, UsageGossipOptions options);
  virtual ~UsageGossip() = default;

  // The last word: tells what was committed since the last one.
  virtual void stop() = 0;
};

}  // namespace verge::cluster
