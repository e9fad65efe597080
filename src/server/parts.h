// What a Server owns, in the order in which it is made; for server.cpp, wiring.cpp and ending.cpp
// only. Each part may use those above it, and goes before them.
#pragma once

#include <boost/asio/signal_set.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "accounts/accounts.h"
#include "accounts/local_lease_store.h"
#include "accounts/meter.h"
#include "accounts/response_store.h"
#include "accounts/shared_counts.h"
#include "api/api.h"
#include "catalogue/catalogue.h"
#include "cluster/account_gossip.h"
#include "cluster/limit_gossip.h"
#include "cluster/quota_store.h"
#include "cluster/usage_gossip.h"
#include "hosting/hosting.h"
#include "http/server.h"
#include "node/node.h"
#include "router/router.h"
#include "server/account_care.h"
#include "server/address.h"
#include "server/converter.h"
#include "server/drain_delay.h"
#include "server/hangups.h"
#include "server/loop.h"
#include "server/membership.h"
#include "server/options.h"
#include "server/placing.h"
#include "server/server.h"
#include "server/trace_export.h"
#include "server/watchdog.h"
#include "support/metrics.h"
#include "support/spawn.h"

namespace verge::server {

struct Server::Parts {
  Parts(Options options, Address address, accounts::Accounts accounts);
  ~Parts();

  // ---- Wiring, in this order
  Result<void> join_cluster();
  Result<void> check_tokens();
  Result<void> open_node();
  Result<void> open_accounts();
  Result<void> open_api();
  Result<void> open_listener();
  Result<void> enter_cluster();
  Result<void> tell_accounts();
  Result<void> host_workers();
  void watch_signals();

  // ---- While it runs
  std::vector<std::string> catalogue_folders() const;
  bool is_ready();
  json::value status() const;
  json::array all_nodes() const;
  bool for_worker(const http::RequestHead& head) const;
  http::task<void> answer_worker(http::Incoming& in, http::Responder& out);
  void reload();
  void on_signal(int number);
  void wait_for_signal();

  // ---- The end
  using Step = std::function<boost::asio::awaitable<void>(int limit_ms)>;
  void begin_end(int delay_s);
  void hurry();
  boost::asio::awaitable<void> end(int delay_s);
  boost::asio::awaitable<void> step(const char* what, int limit_ms, Step work);
  void stop_telling();
  void run_to_the_end();  // where run() did not

  Watchdog watchdog;
  Options options;
  Address address;
  metrics::Registry metrics;
  catalogue::Catalogue catalogue;
  std::atomic<bool> ending_inspections = false;
  node::NodeOptions node_options;
  accounts::Accounts accounts;
  bool tokens = false;  // are required

  Loop loop;
  bool ready = false, draining = false, over = false;
  bool hurried = false, settled = true;
  Interruptible* waiting = nullptr;  // of the step of the end that is under way
  int hurried_by = 0;                // the signal
  std::string fatal;
  json::object reloaded;  // what became of the latest SIGHUP
  DrainDelay drain_delay;
  boost::asio::signal_set signals;

  std::unique_ptr<Membership> membership;
  std::unique_ptr<TraceExport> traces;
  std::shared_ptr<node::Node> node;
  router::Router router;
  // Requests of other machines are the business of this node alone, restarts of its processes
  // included.
  router::Router own;
  std::unique_ptr<accounts::Ledger> ledger;
  std::unique_ptr<accounts::LeaseStore> leases;
  std::optional<accounts::SharedCounts> shared_counts;
  std::optional<accounts::Meter> meter;
  std::unique_ptr<accounts::ResponseStore> kept_responses;
  std::optional<Converter> converter;
  std::optional<api::Api> api;
  std::unique_ptr<hosting::Hosting> hosting;
  std::optional<http::Server> listener;
  std::shared_ptr<Placing> placing;
  std::shared_ptr<cluster::AccountGossip> account_gossip;
  std::shared_ptr<cluster::LimitGossip> limit_gossip;
  std::shared_ptr<cluster::UsageGossip> usage;
  std::shared_ptr<AccountCare> care;
  // env.AI of hosted Workers comes in here: loopback, without TLS, whatever the other listener is.
  std::optional<http::Server> inner;
  std::optional<HangupWatch> hangups;
};

}  // namespace verge::server
