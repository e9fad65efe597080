// What gateways tell each other about their usage rows (usage_gossip.h), as JSON. It comes from other machines: bounded and
// checked, and a message with anything wrong in it counts as not received. Pure.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "accounts/usage_book.h"
#include "support/error.h"

namespace verge::cluster {

using accounts::UsageMark;
using accounts::UsageRow;

inline constexpr size_t kUsageMessageBytes = 256 << 10;
inline constexpr size_t kUsageGateways = 1000;  // of one cluster, those of the past included

// Up to where somebody has each gateway's rows; who is not in it: none.
struct UsageHave {
  std::map<std::string, UsageMark> marks;
};
// All rows of one gateway after `after`, up to `upto`.
struct UsageBatch {
  UsageMark after, upto;
  std::vector<UsageRow> rows;
};
using UsageMessage = std::variant<UsageHave, UsageBatch>;

std::string encode_have(const std::map<std::string, UsageMark>& marks);

struct EncodedBatch {
  std::string text;
  UsageMark upto;
};
// As many of the rows, which follow `after`, as go into one message: at least one. Without rows: that there are none up to `upto`.
EncodedBatch encode_batch(UsageMark after, UsageMark upto, std::span<const UsageRow> rows);

// `gateway`: who says it, which is whose rows they are. InvalidInput; UnsupportedParameter: of a newer version.
Result<UsageMessage> decode_usage(std::string_view text, const std::string& gateway);

// "verge.usage.<name>": to all. "verge.usage.<name>.<other>": to one.
std::string usage_subject(const std::string& name);
std::string usage_subject(const std::string& name, const std::string& other);
// Whose subject that is; nullopt: nobody's.
struct UsageSubject {
  std::string from, to;  // empty `to`: all
};
std::optional<UsageSubject> parse_usage_subject(std::string_view subject);

}  // namespace verge::cluster
