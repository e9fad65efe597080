// The events of one request on their way from the model's process to whoever asked.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "node/local/slot.h"
#include "protocol/service.h"
#include "support/clock.h"

namespace verge::node {

// Writes who answers into Accepted, measures how long it took, and passes all else on.
class NamingSink : public protocol::EventSink {
 public:
  NamingSink(protocol::EventSink& next, const std::string& node, const Resolved& model, Slot& slot)
      : next_(next), node_(node), model_(model), slot_(slot), build_(slot.build), came_ms_(monotonic_ms()), alone_(slot.in_flight == 1) {}
  ~NamingSink() override {
    if (accepted_ms_ > 0) slot_.pace.held(monotonic_ms() - accepted_ms_);
  }
  NamingSink(const NamingSink&) = delete;
  NamingSink& operator=(const NamingSink&) = delete;
  protocol::task<bool> put(protocol::Event event) override {
    if (auto* accepted = std::get_if<protocol::Accepted>(&event)) {
      accepted_ms_ = monotonic_ms();
      if (alone_) slot_.pace.accepted_alone(accepted_ms_ - came_ms_, accepted->prompt_tokens - accepted->cached_tokens, slot_.own.prefill_tokens_per_s);
      accepted->node = node_;
      accepted->build = build_;
      accepted->model = model_.id;
      accepted->substituted = model_.substituted;
    }
    return next_.put(std::move(event));
  }

 private:
  protocol::EventSink& next_;
  const std::string& node_;
  const Resolved& model_;
  Slot& slot_;
  const std::string build_;
  const int64_t came_ms_;
  const bool alone_;
  int64_t accepted_ms_ = 0;
};

}  // namespace verge::node
