// What a model process, its node and a heartbeat say of a model: one struct, measured, with JSON
// both ways. It comes from other machines too: what no machine can be is brought within bounds.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/load.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::protocol {

struct ModelReport : Load {
  std::string id;                   // as asked for: a stand-in is reported under the ids that it answers for, too
  std::string task;
  bool loaded = false;
  bool loading = false;
  bool suspect = false;             // its process does not get on: chosen only where there is no other
  int slots = 64;                   // sequences, windows or items that one step has room for
  int wait_slots = 512;             // requests that may wait
  double prefill_tokens_per_s = 0;  // measured; 0 = not known
  int first_token_ms = -1;          // of a request that does not wait, besides the reading of its prompt where the rate is known; -1 = not known
  int slot_ms = 0;                  // a request holds its slot so long, mean; 0 = not known
  int load_ms = 10'000;             // of the last load, else estimated from the size
  int64_t kv_free_tokens = -1;      // -1 = not known
  int64_t bytes = 0;                // of memory it takes, or would; 0 = not known
  std::string build;                // of a loaded one, see Accepted; empty = not known
};

json::object to_json(const ModelReport& report);
// Errors: InvalidInput, without a proper id.
verge::Result<ModelReport> read_report(const json::value& value);
// The part that a model process knows of itself: a heartbeat's JSON less what its node adds.
void read_own_report(const json::object& object, ModelReport& report);

}  // namespace verge::protocol
