// Which Worker takes what: requests by their routes, queues and names for bindings.
#include <map>

#include "hosting/hosting_impl.h"

namespace verge::hosting {

RouteClaim Hosting::Impl::claim_of(const HostedWorker& worker, const WorkerShape& shape) {
  // Whose configuration could not be read takes nothing: it may well have routes.
  return {worker.name, shape.routes, worker.known && shape.routes.empty() && !shape.called_only};
}

HostedWorker* Hosting::Impl::find(const http::RequestHead& head) const {
  HostedWorker* best = nullptr;
  size_t weight = 0;
  const bool api = api_takes(head);
  for (const auto& worker : workers) {
    if (claim_of(*worker, worker->shape).rest && !api && !best) best = worker.get();
    for (const WorkerRoute& route : worker->shape.routes) {
      if (api && !route.names_host()) continue;  // the API's paths stay the API's
      if (!route.matches(head.header("host"), head.path) || route.weight() <= weight) continue;
      weight = route.weight();
      best = worker.get();
    }
  }
  return best;
}

Result<void> Hosting::Impl::check(const HostedWorker* changed, const WorkerShape& shape) const {
  std::vector<RouteClaim> claims;
  std::map<std::string, std::string> scripts, consumers;
  for (const auto& worker : workers) {
    const WorkerShape& its = worker.get() == changed ? shape : worker->shape;
    claims.push_back(claim_of(*worker, its));
    if (!worker->known) continue;
    if (auto [other, fresh] = scripts.emplace(its.script, worker->name); !fresh)
      return fail(Code::InvalidInput,
                  "the Workers {} and {} have one name in their configurations, '{}': bindings "
                  "could reach one of them only",
                  other->second, worker->name, its.script);
    for (const std::string& queue : its.queues)
      if (auto [other, fresh] = consumers.emplace(queue, worker->name); !fresh)
        return fail(Code::InvalidInput,
                    "the Workers {} and {} both consume queue '{}', which has one consumer",
                    other->second, worker->name, queue);
  }
  return check_claims(claims, options.own_hosts, api::Api::example_paths());
}

}  // namespace verge::hosting
