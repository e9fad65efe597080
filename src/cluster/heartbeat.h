// What a node says about itself, once a second and in answer to a probe. The JSON comes from other machines: bounded and
// checked. Keys that are not known are skipped, so that a newer node can be read; one of a newer major version is refused
// by name, since what it means by the old keys is not known.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/report.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::cluster {

inline constexpr int kVersion = 1;

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
  std::vector<protocol::ModelReport> models;  // loaded, or on its disk
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
