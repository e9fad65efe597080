// Clocks, in the units in which pure files take times as arguments. Shells read them; pure files never do.
#pragma once

#include <cstdint>

namespace verge {

int64_t unix_ms();       // wall clock, ms since 1970: deadlines that cross processes, dates shown to people
int64_t monotonic_ms();  // never goes back: time-outs, durations
int64_t monotonic_us();

}  // namespace verge
