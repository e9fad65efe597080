// What a node says about itself, once a second and in answer to a probe. The JSON comes from other machines: bounded and
// checked. Keys that are not known are skipped, so that a newer node can be read; one of a newer major version is refused
// by name, since what it means by the old keys is not known.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace verge::cluster {

inline constexpr int kVersion = 1;

struct ModelReport {
  std::string id;
  std::string task;
  bool loaded = false;
  bool loading = false;
  bool suspect = false;             // loaded, and its process does not get on: chosen only where there is no other
  int queued = 0;                   // requests that wait
  int running = 0;                  // requests in the batch
  int slots = 64;                   // that the batch has room for
  int64_t queued_tokens = 0;        // of prompts that nobody has read yet
  double prefill_tokens_per_s = 0;  // measured; 0 = not known
  int first_token_ms = 200;         // of a request that does not wait
  int load_ms = 10'000;             // where not loaded
  int64_t kv_free_tokens = -1;      // -1 = not known
  int64_t bytes = 0;                // of memory, to load it
  std::string build;                // what must be equal for an answer to go on there with the same bytes: weights, arithmetic
};

struct Heartbeat {
  std::string name;
  std::string region;
  double latitude = NAN, longitude = NAN;  // degrees, where the operator gave them
  std::string address;       // host:port of the internal protocol
  std::string software;      // its version, for people
  uint64_t boot = 0;         // when it started, in µs since 1970 by its own clock: a restart has another one
  uint64_t sequence = 0;     // within a boot
  bool draining = false;     // it finishes what it has and takes nothing new
  bool leaving = false;      // its last word
  int64_t memory_free_bytes = 0;
  std::vector<ModelReport> models;  // loaded, or on its disk
};

// Names of nodes and regions become words of subjects and parts of certificates: lower-case letters, digits and '-',
// 1 to 63 of them, as in a DNS label.
bool valid_name(std::string_view name);

json::object to_json(const Heartbeat& heartbeat);
std::string encode_heartbeat(const Heartbeat& heartbeat);
// InvalidInput: no heartbeat, or one past the limits; UnsupportedParameter: of a newer major version.
Result<Heartbeat> decode_heartbeat(std::string_view text);

// "verge.node.<region>.<name>.hb"
std::string heartbeat_subject(const Heartbeat& heartbeat);
inline constexpr const char* kAllHeartbeats = "verge.node.*.*.hb";

}  // namespace verge::cluster
