// The only places that read a clock. Pure files take times as arguments, in these units.
#pragma once

#include <cstdint>

namespace verge {

int64_t unix_ms();       // wall clock, ms since 1970: deadlines that cross processes, dates shown to people
int64_t monotonic_ms();  // never goes back: time-outs, durations
int64_t monotonic_us();

}  // namespace verge
