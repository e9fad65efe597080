// How busy a model is at one instant.
#pragma once

#include <cstdint>

namespace verge::protocol {

struct Load {
  int queued = 0;             // requests that wait
  int running = 0;            // in the batch
  int64_t queued_tokens = 0;  // of prompts that nobody has read yet
};

}  // namespace verge::protocol
