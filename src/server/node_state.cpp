#include "server/node_state.h"

namespace verge::server {
void describe(cluster::Heartbeat& heartbeat, node::Node& node) {
  heartbeat.memory_free_bytes = static_cast<int64_t>(node.memory_free_bytes());
  heartbeat.models = node.figures();
}

router::NodeState state_of(const cluster::Heartbeat& heartbeat) {
  router::NodeState state;
  state.memory_free_bytes = heartbeat.memory_free_bytes;
  state.draining = heartbeat.draining;
  state.region = heartbeat.region;
  state.latitude = heartbeat.latitude;
  state.longitude = heartbeat.longitude;
  state.boot = heartbeat.boot;
  state.sequence = heartbeat.sequence;
  for (const protocol::ModelReport& model : heartbeat.models) state.models.emplace(model.id, model);
  return state;
}

}  // namespace verge::server
