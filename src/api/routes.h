// The table of endpoints.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "api/call.h"

namespace verge::api {

// What a token must be good for. A route's row says it, so that none can be forgotten.
enum class Access {
  Open,   // no token, whoever asks
  Metrics,  // no token from this machine, else as Admin; a token of scope metrics will do
  Read,   // once tokens exist: one of scope read, run or admin
  Run,    // once tokens exist: one of scope run or admin
  Admin,  // once tokens exist: one of scope admin
};

struct Route {
  std::string_view method;
  std::string_view pattern;  // segments; {name} takes one, {name...} the rest, slashes too
  http::task<void> (*run)(Call& call);
  Shape shape;
  Access access;
  size_t body_bytes;
  std::string_view query = {};  // names of the query's parameters, separated by spaces; others are ignored, and said to be
  bool yields = false;  // a hosted Worker that takes what the API leaves takes this path, too
};
// Of routes whose query depends on the model: the endpoint itself notes what it does not know.
inline constexpr std::string_view kEndpointReadsQuery = "*";
// Names of the parameters of a query, decoded, each once.
std::vector<std::string> query_names(std::string_view query);
std::span<const Route> routes();

struct Match {
  const Route* route = nullptr;
  std::string allowed;  // where only the method is wrong: the methods that are right
  bool yields = false;  // see Route; of whatever method
  std::map<std::string, std::string, std::less<>> path;
};
// A path as the patterns have it: slashes that a base URL's end doubles count as one, one at the end as none.
std::string plain_path(std::string_view path);
// HEAD is served where GET is. The path is made plain first.
Match match_route(std::string_view method, std::string_view path);
bool match_pattern(std::string_view pattern, std::string_view path, std::map<std::string, std::string, std::less<>>* values);

// How an error on a path that no route takes is written.
Shape shape_of_path(std::string_view path);

}  // namespace verge::api
