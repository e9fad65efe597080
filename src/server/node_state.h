// The three views of a node: its own figures, what it says of itself to others, and what routing decides by.
#pragma once

#include "cluster/heartbeat.h"
#include "node/node.h"
#include "router/registry.h"

namespace verge::server {

// Fills in what changes: memory and models.
void describe(cluster::Heartbeat& heartbeat, node::Node& node);
router::NodeState state_of(const cluster::Heartbeat& heartbeat);

}  // namespace verge::server
