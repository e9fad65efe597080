// One request, as every layer below api sees it. No wire shape of Workers AI or OpenAI in here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/payload.h"
#include "support/json.h"

namespace verge::protocol {

struct Request {
  std::string id;            // uuid; the `cf-ai-req-id` of the answer and of every log line
  std::string model;         // catalogue id as the client gave it, e.g. "@cf/meta/llama-3.2-1b-instruct"
  std::string task;          // "text-generation", …
  json::object params;       // normalised parameters of the task, see protocol/tasks/<task>.h
  Payload payload;           // raw bytes (an image, a clip); empty for text
  std::string tenant;        // account id
  uint64_t seed = 0;         // always set: chosen by api where the client gave none, so that a retry repeats
  int64_t deadline_ms = 0;   // Unix time in ms past which nobody waits for the answer; 0 = none
  bool reject_if_busy = false;
  std::string affinity;      // x-session-affinity
  std::string traceparent;   // W3C trace context
  // Ids that an earlier attempt has already given to the client: the worker replays prompt + these
  // and goes on with the next token and the next byte of text.
  std::vector<int32_t> resume_ids;
};

}  // namespace verge::protocol
