// The node of this machine: processes, timers and threads around supervisor.h, ledger.h and liveness.h,
// which decide. One file a job: requests (local_node.cpp), what is on the disk (looking.cpp), what it
// takes (memory.cpp), a process's start (loading.cpp) and life (watching.cpp), what is told of it all
// (figures.cpp).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/io/child.h"
#include "node/io/installed.h"
#include "node/io/watch.h"
#include "node/ledger.h"
#include "node/local/slot.h"
#include "node/node.h"
#include "support/limits.h"
#include "support/pool.h"

namespace verge::node {

inline constexpr uint64_t kProcessBytes = 64ull << 20;  // of a model's process, besides what the model takes

class LocalNode : public Node, public std::enable_shared_from_this<LocalNode> {
 public:
  LocalNode(boost::asio::any_io_executor executor, const catalogue::Catalogue& catalogue, NodeOptions options, std::unique_ptr<SocketFolder> sockets)
      : executor_(std::move(executor)), catalogue_(catalogue), options_(std::move(options)), sockets_(std::move(sockets)), ledger_(options_.memory_bytes), next_look_(executor_),
        looked_(executor_, std::chrono::steady_clock::time_point::max()) {}

  protocol::task<void> run(protocol::Request request, protocol::EventSink& sink) override;
  void preload(const std::string& id) override;
  Result<void> could_load(const std::string& id) const override;
  void unload(const std::string& id) override;
  json::value status() const override;
  protocol::task<void> stop(int64_t drain_ms) override;
  std::vector<protocol::ModelReport> figures() override;
  void on_suspect(std::function<void(const std::string&, bool)> told) override { told_ = std::move(told); }
  bool well() const override;
  uint64_t memory_free_bytes() const override { return ledger_.budget() - std::min(ledger_.budget(), ledger_.reserved()); }
  void start();

 private:
  std::function<Installations()> looking() const;
  void took_a_look(Installations found);
  void look_again();
  protocol::task<void> look();
  protocol::task<void> look_once();
  Result<Resolved> resolve(std::string_view id) const { return resolve_model(catalogue_, options_.resolve, installed_, id); }
  void failed(Slot& slot, const Error& error, const char* how);
  void obey(Slot& slot, const Ledger::Plan& plan);
  bool weigh(Slot& slot);
  protocol::task<void> watch(Slot& slot, int64_t process);
  void judge(Slot& slot);
  std::vector<std::string> ids_of(const Slot& slot) const;
  Slot& slot_for(const Resolved& model);
  protocol::task<Result<void>> ensure_ready(Slot& slot, const protocol::Request& request);
  void apply(Slot& slot, const Supervisor::Event& event);
  protocol::task<void> load(Slot& slot);
  void spawn(Slot& slot);
  void on_status(Slot& slot, const json::object& status);
  static void release(Slot& slot, const std::optional<Error>& error);
  uint64_t kv_need(const MemoryNeed& need, int model_context) const;
  uint64_t memory_estimate(const Resolved& model) const;
  Error does_not_fit(const Resolved& model, uint64_t bytes) const;
  protocol::task<bool> loadable(Slot& slot, int64_t load);
  std::string build_of(const Slot& slot) const;
  uint64_t kv_bytes() const { return options_.kv_bytes ? options_.kv_bytes : std::min<uint64_t>(1ull << 30, options_.memory_bytes / 4); }

  boost::asio::any_io_executor executor_;
  const catalogue::Catalogue& catalogue_;
  NodeOptions options_;
  std::unique_ptr<SocketFolder> sockets_;
  Ledger ledger_;
  Pool looking_{1}, inspecting_{1};  // a look must not wait for an inspection
  boost::asio::steady_timer next_look_, looked_;
  bool look_under_way_ = false;
  int64_t looks_begun_ = 0, looks_over_ = 0;
  int64_t changes_ = 0, changes_known_ = 0;  // on the disk, as far as told; of those, in installed_
  std::shared_ptr<Watch> watch_;             // shared with a look that is under way
  Installations installed_;
  std::map<std::string, std::unique_ptr<Slot>> slots_;  // never erased: coroutines hold references
  bool stopping_ = false;
  std::function<void(const std::string&, bool)> told_;  // of suspects
  std::vector<std::pair<std::string, Resolved>> offered_;
};

}  // namespace verge::node
