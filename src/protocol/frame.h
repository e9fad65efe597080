// Bytes <-> Request and Event, the internal wire. Pure and bounded; what comes in is hostile.
//   Request: u32le length of a JSON header, the header, then the payload's raw bytes to the end.
//   Event stream: frames of u32le length + JSON object, its key "e" naming the kind. The length's highest bit says that raw
//   bytes belong to the event: their u32le length stands before the JSON, they stand behind it.
// Keys that are not known are skipped, so that a newer peer can be read.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/event.h"
#include "protocol/request.h"

namespace verge::protocol {

// Header of POST /v1/run: ms until the deadline, which replaces Request::deadline_ms by the receiver's own clock.
inline constexpr const char* kTimeLeft = "verge-time-left-ms";

// All of a request but its payload, whose bytes follow.
std::string encode_request_head(const Request& request);
// The request's payload is a part of `bytes`, not a copy.
verge::Result<Request> decode_request(std::string bytes);

// Appends one whole frame.
void encode_event(const Event& event, std::string& out);
// One frame's JSON, and the raw bytes behind it.
verge::Result<Event> decode_event(std::string_view json, std::string_view bytes = {});

// Cuts a byte stream into events.
class EventReader {
 public:
  void feed(std::string_view bytes);
  // The next whole event; nullopt: more bytes are needed; an error is final.
  verge::Result<std::optional<Event>> next();
  bool partial() const { return used_ < buffer_.size(); }  // bytes of an unfinished frame are held

 private:
  std::string buffer_;
  size_t used_ = 0;
};

}  // namespace verge::protocol
