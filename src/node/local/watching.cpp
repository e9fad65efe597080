// Whether the processes of models get on.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

#include "node/local/local_node.h"
#include "protocol/progress.h"
#include "support/clock.h"
#include "support/log.h"

namespace verge::node {
namespace asio = boost::asio;
using protocol::task;
namespace {

constexpr int kAskWorkerMs = 1'000;  // how often, and how long for the answer
constexpr int kAskIdleTimes = 5;     // so much rarer where nothing is under way

}  // namespace

// Asks a process how it is, as long as it is there. One that is busy, or was well no longer, is asked each time.
task<void> LocalNode::watch(Slot& slot, int64_t process) {
  asio::steady_timer& timer = slot.asking;
  const auto there = [&] { return slot.child && slot.loads == process; };
  for (int round = 0; there(); ++round) {
    const bool busy = slot.in_flight > 0 || slot.life.state() != Liveness::State::Well;
    const auto client = slot.client;
    timer.expires_after(std::chrono::milliseconds(kAskWorkerMs));
    if (client && slot.supervisor.state() == Supervisor::State::Ready && (busy || round % kAskIdleTimes == 0)) {
      slot.life.asked();
      auto asking = client->status(kAskWorkerMs);
      auto status = co_await std::move(asking);
      if (!there()) co_return;
      if (status) {
        slot.life.heard(protocol::read_progress(*status));
        if (const json::object* own = get_object(*status, "report")) protocol::read_own_report(*own, slot.own);
      }
    }
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!there()) co_return;
    if (ledger_.over() && slot.held > 0) obey(slot, ledger_.adjust(slot.model.id, slot.held, monotonic_ms()));
    judge(slot);
  }
}

void LocalNode::judge(Slot& slot) {
  const Liveness::State state = slot.life.tick(monotonic_ms());
  const bool before = slot.supervisor.suspect();
  apply(slot, Supervisor::Suspected{state != Liveness::State::Well});
  const bool suspect = slot.supervisor.suspect();
  if (suspect != before) {
    if (suspect) log::warn("a model's process does not get on", {{"model", slot.model.id}, {"pid", slot.child->pid()}, {"why", slot.life.why()}});
    else log::info("a model's process gets on again", {{"model", slot.model.id}, {"pid", slot.child->pid()}});
    if (told_) {
      for (const std::string& id : ids_of(slot)) told_(id, suspect);
    }
  }
  if (state != Liveness::State::Hung || slot.supervisor.hung()) return;
  log::error("a model's process hangs and is killed", {{"model", slot.model.id}, {"pid", slot.child->pid()}, {"why", slot.life.why()}});
  apply(slot, Supervisor::Hung{slot.life.why()});
}

// A stand-in answers for other ids than its own.
std::vector<std::string> LocalNode::ids_of(const Slot& slot) const {
  std::vector<std::string> ids{slot.model.id};
  for (const auto& [id, model] : offered_) {
    if (model.id == slot.model.id && id != model.id) ids.push_back(id);
  }
  return ids;
}

bool LocalNode::well() const {
  bool any = false;
  for (const auto& [id, slot] : slots_) {
    if (slot->supervisor.state() != Supervisor::State::Ready) continue;
    if (!slot->supervisor.suspect()) return true;
    any = true;
  }
  return !any;
}

}  // namespace verge::node
