#include "support/clock.h"

#include <chrono>

namespace verge {

using namespace std::chrono;

int64_t unix_ms() { return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count(); }
int64_t monotonic_ms() { return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count(); }
int64_t monotonic_us() { return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count(); }

}  // namespace verge
