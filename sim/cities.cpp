#include "sim/cities.h"

#include <algorithm>
#include <cmath>

#include "support/random.h"

namespace verge::sim {

double one_way_ms(size_t from, size_t to) {
  if (from == to) return 0.4;
  const City &a = kCities[from], &b = kCities[to];
  constexpr double kDegree = M_PI / 180, kEarthKm = 6371, kFibreKmPerMs = 200;
  const double h = std::pow(std::sin((a.latitude - b.latitude) * kDegree / 2), 2) +
                   std::cos(a.latitude * kDegree) * std::cos(b.latitude * kDegree) * std::pow(std::sin((a.longitude - b.longitude) * kDegree / 2), 2);
  const double km = 2 * kEarthKm * std::asin(std::sqrt(h));
  const double detour = 1.3 + 0.8 * unit_at(17, std::min(from, to) * 100 + std::max(from, to));
  return 0.8 + km * detour / kFibreKmPerMs;
}

}  // namespace verge::sim
