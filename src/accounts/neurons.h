// What a request costs: published prices times what it took. Pure.
// Source: developers.cloudflare.com/workers-ai/platform/pricing, where 1,000 neurons are $0.011; the neurons printed
// beside the prices are rounded and not used. A model without prices costs nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "catalogue/entry.h"
#include "protocol/event.h"

namespace verge::accounts {

inline constexpr double kNeuronUsd = 0.011 / 1000;

// In micro-neurons, rounded half up once a request.
//  - Cached tokens cost the price "per M cached input tokens" where there is one, else that of all input tokens.
//  - A step is paid for each tile, as live answers are: 1024 x 1024 pixels in 4 steps are 4 x tile + 4 x 4 x step.
int64_t neurons(const std::vector<catalogue::Price>& prices, const protocol::Usage& usage);

}  // namespace verge::accounts
