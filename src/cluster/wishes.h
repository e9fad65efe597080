// What the operator wishes of models' places, in the bus's bucket "verge_models": one value a model. Set through any gateway
// (`verge place`), read by every node. A bucket that cannot be read leaves things as they are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/bus.h"
#include "support/json.h"

namespace verge::cluster {

struct Wish {
  std::string model;
  int min = 0;                        // nodes that hold it, at least
  int max = 0;                        // at most; 0 = any number
  std::vector<std::string> pins;      // names of nodes that hold it always
  std::vector<std::string> regions;   // allowed; empty = all
  bool empty() const { return min == 0 && max == 0 && pins.empty() && regions.empty(); }
};

json::object to_json(const Wish& wish);
// InvalidInput names the field.
Result<Wish> wish_of(const std::string& model, const json::object& object);

task<Result<std::vector<Wish>>> read_wishes(Bus& bus);
// An empty wish takes what was wished back. Errors: Io, Busy where others change the same one at this moment.
task<Result<void>> write_wish(Bus& bus, Wish wish);

}  // namespace verge::cluster
