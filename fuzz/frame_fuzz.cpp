// The internal wire: whatever arrives is decoded or refused, and what was decoded survives a round trip.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocol/frame.h"

using namespace verge::protocol;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto request = decode_request(std::string(bytes))) {
    const std::string head = encode_request_head(*request);
    auto again = decode_request(head + std::string(request->payload.view()));
    if (!again || encode_request_head(*again) != head || !(again->payload == request->payload)) std::abort();
  }
  if (auto event = decode_event(bytes)) {
    std::string frame;
    encode_event(*event, frame);
    auto again = decode_event(std::string_view(frame).substr(4));
    if (!again) std::abort();
    std::string second;
    encode_event(*again, second);
    if (second != frame) std::abort();
  }
  EventReader reader;
  const size_t half = size / 2;
  reader.feed(bytes.substr(0, half));
  reader.feed(bytes.substr(half));
  while (true) {
    auto event = reader.next();
    if (!event || !event->has_value()) break;
  }
  return 0;
}
