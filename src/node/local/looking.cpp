// Which models are on the disk: asked by a thread of its own, once a second and where it matters.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <utility>

#include "node/local/local_node.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::node {
namespace asio = boost::asio;
using protocol::task;
namespace {

constexpr int kLookMs = 1'000;  // a model that was pulled, replaced or removed shows after so long

}  // namespace

// A loaded model answers on whatever becomes of its files: the next load takes what is there then.
void LocalNode::took_a_look(Installations found) {
  installed_ = std::move(found);
  offered_ = offered_models(catalogue_, options_.resolve, installed_);
  for (auto& [id, slot] : slots_) {
    const auto now = installed_.find(id);
    const bool changed = slot->supervisor.state() == Supervisor::State::Ready && (now == installed_.end() || now->second != slot->model.files);
    if (changed && !slot->changed)
      log::info("files of a loaded model changed: its next load takes them", {{"model", id}, {"path", slot->model.files.path}});
    slot->changed = changed;
  }
}

// For another thread. What changes after it began is told by the watch.
std::function<Installations()> LocalNode::looking() const {
  return [models = sought_models(catalogue_, options_.resolve), folder = options_.resolve.models_folder, watch = watch_] {
    if (watch) {
      for (const std::string& place : places_of(models, folder)) watch->add(place);
    }
    return look_for(models, folder);
  };
}

void LocalNode::start() {
  watch_ = Watch::make(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) ++self->changes_;
  });
  took_a_look(looking()());
  look_again();
}

void LocalNode::look_again() {
  next_look_.expires_after(std::chrono::milliseconds(kLookMs));
  next_look_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
    const auto self = weak.lock();
    if (ec || !self || self->stopping_) return;
    verge::spawn(self->executor_, "looking for models", [self] { return self->look(); }, [self](std::exception_ptr) { self->look_again(); });
  });
}

// Returns after a look that began after the call; calls at one time share it.
task<void> LocalNode::look() {
  const int64_t wanted = looks_begun_ + 1;
  while (looks_over_ < wanted) {
    if (!look_under_way_) {
      look_under_way_ = true;
      ++looks_begun_;
      verge::spawn(executor_, "looking for models", [self = shared_from_this()] { return self->look_once(); },
                   [self = shared_from_this()](std::exception_ptr) {
                     self->look_under_way_ = false;
                     self->looks_over_ = self->looks_begun_;
                     self->looked_.cancel();
                   });
    }
    co_await looked_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

task<void> LocalNode::look_once() {
  const int64_t changes = changes_;
  auto job = looking_.run<Installations>([look = looking()](const Pool::Abandoned&) -> Result<Installations> { return look(); });
  auto found = co_await std::move(job);
  if (!found) co_return;
  changes_known_ = changes;
  took_a_look(std::move(*found));
}

}  // namespace verge::node
