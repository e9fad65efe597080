// When a machine that is not heard of counts as gone: the one rule of cluster/ (whose connections are cut then) and of
// router/ (which sends nothing there any more). Each knows by itself when it has heard a node last.
#pragma once

#include <cstdint>

#include "support/limits.h"

namespace verge::protocol {

enum class Health { Well, Suspect, Dead };  // Suspect: chosen only if there is no other

// Of a node that was heard last so many ms ago, by the listener's own clock.
constexpr Health health_after(int64_t silent_ms) {
  if (silent_ms > limits::kNodeDeadMs) return Health::Dead;
  return silent_ms > limits::kNodeSuspectMs ? Health::Suspect : Health::Well;
}

// Then it is not even kept in mind.
constexpr bool forgotten_after(int64_t silent_ms) { return silent_ms > limits::kNodeForgottenMs; }

}  // namespace verge::protocol
