// Models go where they are wished and where they are asked for: gateways tell the demand that they see, each node decides for itself
// (router/placement.h) what to load and what to give up.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>

#include "cluster/bus.h"
#include "http/message.h"
#include "support/json.h"

namespace verge::node {
class Node;
}
namespace verge::router {
class Router;
}

namespace verge::server {

class Placing {
 public:
  struct Place {
    std::string name, region;
    std::function<json::array()> nodes;  // all that are known here, as `verge nodes` lists them
  };
  // Null router: no gateway here; null node: no node here. All outlive it.
  static std::shared_ptr<Placing> make(boost::asio::any_io_executor executor, cluster::Bus& bus, Place place, router::Router* router, node::Node* node);
  virtual ~Placing() = default;
  virtual void stop() = 0;

  // GET and PUT of /verge/v1/placement: [{model, min, max, pins, regions}]; read with have and loading: names of nodes. InvalidInput
  // where a wish names a node or a region that is not known and was not wished before.
  virtual http::task<Result<json::value>> wishes() = 0;
  virtual http::task<Result<void>> wish(std::string model, json::object body) = 0;
};

}  // namespace verge::server
