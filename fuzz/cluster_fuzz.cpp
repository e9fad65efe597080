// What other machines of a cluster say over NATS: decoded or refused, and what was decoded survives a round trip.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cluster/heartbeat.h"
#include "cluster/usage_messages.h"
#include "cluster/wishes.h"

using namespace verge::cluster;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto heartbeat = decode_heartbeat(text)) {
    const std::string wire = encode_heartbeat(*heartbeat);
    auto again = decode_heartbeat(wire);
    if (!again || encode_heartbeat(*again) != wire || !valid_name(again->name)) std::abort();
  }
  if (auto message = decode_usage(text, "gateway")) {
    std::string wire;
    if (const auto* have = std::get_if<UsageHave>(&*message)) {
      wire = encode_have(have->marks);
    } else {
      const auto& batch = std::get<UsageBatch>(*message);
      EncodedBatch encoded = encode_batch(batch.after, batch.upto, batch.rows);
      wire = std::move(encoded.text);
    }
    if (!decode_usage(wire, "gateway")) std::abort();
  }
  (void)parse_usage_subject(text);
  if (auto value = verge::parse_json(text); value && value->is_object()) {
    if (auto wish = wish_of("@t/model", value->as_object()); wish && !wish_of("@t/model", to_json(*wish))) std::abort();
  }
  return 0;
}
