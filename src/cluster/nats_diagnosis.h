// Why a NATS server cannot be used, in words that say what to do: libnats tells of some causes by one word, and of others by none.
#pragma once

#include <string>

#include "cluster/nats_bus.h"

namespace verge::cluster {

// Knocks at each server in turn; at most a few seconds each, so not on the io thread. Empty: nothing is wrong with one of them that can be
// told without a key. `refused`: libnats' own last error.
std::string diagnose_nats(const NatsOptions& options, const std::string& refused);

}  // namespace verge::cluster
