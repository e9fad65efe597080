#include "commands/node_state.h"

namespace verge::commands {
namespace {

cluster::ModelReport report_of(const node::ModelFigures& figures) {
  cluster::ModelReport out;
  out.id = figures.id;
  out.task = figures.task;
  out.loaded = figures.loaded;
  out.loading = figures.loading;
  out.suspect = figures.suspect;
  out.queued = figures.queued;
  out.running = figures.running;
  out.slots = figures.slots;
  out.queued_tokens = figures.queued_tokens;
  out.prefill_tokens_per_s = figures.prefill_tokens_per_s;
  out.load_ms = figures.load_ms;
  out.kv_free_tokens = figures.kv_free_tokens;
  out.bytes = static_cast<int64_t>(figures.bytes);
  out.build = figures.build;
  return out;
}

}  // namespace

void describe(cluster::Heartbeat& heartbeat, node::Node& node) {
  heartbeat.memory_free_bytes = static_cast<int64_t>(node.memory_free_bytes());
  for (const node::ModelFigures& figures : node.figures()) heartbeat.models.push_back(report_of(figures));
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
  for (const cluster::ModelReport& model : heartbeat.models) {
    router::ModelState& one = state.models[model.id];
    one.loaded = model.loaded;
    one.loading = model.loading;
    one.suspect = model.suspect;
    one.queued = model.queued;
    one.running = model.running;
    one.slots = model.slots;
    one.queued_tokens = model.queued_tokens;
    one.prefill_tokens_per_s = model.prefill_tokens_per_s;
    one.first_token_ms = model.first_token_ms;
    one.load_ms = model.load_ms;
    one.kv_free_tokens = model.kv_free_tokens;
    one.memory_bytes = model.bytes;
    one.digest = model.build;
  }
  return state;
}

}  // namespace verge::commands
