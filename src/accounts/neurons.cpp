#include "accounts/neurons.h"

#include <algorithm>
#include <cmath>

#include "accounts/quota.h"

namespace verge::accounts {
namespace {

constexpr std::string_view kCachedTokens = "per M cached input tokens";

struct Unit {
  std::string_view name;
  double (*amount)(const protocol::Usage&);
};

constexpr Unit kUnits[] = {
    {kCachedTokens, [](const protocol::Usage& u) { return static_cast<double>(u.cached_tokens) / 1e6; }},
    {"per M output tokens", [](const protocol::Usage& u) { return static_cast<double>(u.completion_tokens) / 1e6; }},
    {"per audio minute", [](const protocol::Usage& u) { return static_cast<double>(u.audio_ms) / 60e3; }},
    {"per inference request", [](const protocol::Usage& u) { return static_cast<double>(std::max<int64_t>(u.images, 1)); }},
    {"per 512 by 512 tile", [](const protocol::Usage& u) { return static_cast<double>(u.tiles); }},
    {"per step", [](const protocol::Usage& u) { return static_cast<double>(u.tiles * u.steps); }},
    {"per 1k characters", [](const protocol::Usage& u) { return static_cast<double>(u.characters) / 1e3; }},
};
constexpr std::string_view kInputTokens = "per M input tokens";

const Unit* find_unit(std::string_view name) {
  const auto* found = std::ranges::find(kUnits, name, &Unit::name);
  return found == std::end(kUnits) ? nullptr : found;
}

}  // namespace

int64_t neurons(const std::vector<catalogue::Price>& prices, const protocol::Usage& usage) {
  const bool cached_apart = std::ranges::any_of(prices, [](const catalogue::Price& price) { return price.unit == kCachedTokens; });
  double usd = 0;
  for (const catalogue::Price& price : prices) {
    if (price.unit == kInputTokens) {
      const int64_t tokens = usage.prompt_tokens - (cached_apart ? std::min(usage.cached_tokens, usage.prompt_tokens) : 0);
      usd += price.usd * static_cast<double>(tokens) / 1e6;
    } else if (const Unit* unit = find_unit(price.unit)) {
      usd += price.usd * unit->amount(usage);
    }
  }
  return std::llround(usd / kNeuronUsd * static_cast<double>(kMicro));
}

}  // namespace verge::accounts
