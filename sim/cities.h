// Where the simulated regions are, and how long a packet takes between them.
#pragma once

#include <cstddef>

namespace verge::sim {

struct City {
  const char* name;
  double latitude, longitude;
  double weight;  // share of the callers
};

inline constexpr City kCities[] = {
    {"fra", 50.1, 8.7, 9},     {"iad", 39.0, -77.5, 10}, {"sin", 1.35, 103.8, 7},  {"gru", -23.5, -46.6, 6}, {"nrt", 35.7, 139.7, 8},
    {"lhr", 51.5, -0.1, 8},    {"sfo", 37.6, -122.4, 8}, {"bom", 19.1, 72.9, 9},   {"syd", -33.9, 151.2, 4}, {"jnb", -26.2, 28.0, 3},
    {"cdg", 48.9, 2.4, 6},     {"ord", 41.9, -87.6, 6},  {"icn", 37.5, 126.9, 5},  {"dxb", 25.2, 55.3, 3},   {"waw", 52.2, 21.0, 4},
    {"dfw", 32.8, -97.0, 5},   {"hkg", 22.3, 114.2, 5},  {"mad", 40.4, -3.7, 4},   {"eze", -34.6, -58.4, 3}, {"arn", 59.3, 18.1, 3},
};
inline constexpr size_t kCityCount = sizeof(kCities) / sizeof(kCities[0]);

// Mean, one way, ms: light in fibre over the great circle times the detour that routes between two cities make (1.3
// to 2.1 times, fixed for each pair), plus the last mile.
double one_way_ms(size_t from, size_t to);

}  // namespace verge::sim
