// Where models should be, in a cluster: GET /verge/v1/placement lists the wishes, PUT /verge/v1/placement/MODEL sets one:
// {"min": 2, "max": 4, "pins": ["node"], "regions": ["eu"]}; {} takes it back.
#include "api/endpoints/endpoints.h"

namespace verge::api {
namespace {

Error no_cluster() { return fail(Code::NotFound, "this server is in no cluster: there is one place for all models"); }

}  // namespace

http::task<void> placement(Call& call) {
  if (!call.context.options.wishes) {
    co_await respond_error(call, no_cluster());
    co_return;
  }
  auto wishes = co_await call.context.options.wishes();
  if (wishes) co_await respond_json(call, *wishes);
  else co_await respond_error(call, wishes.error());
}

http::task<void> place(Call& call) {
  const std::string model = call.path.find("model")->second;
  if (!call.context.options.wish) {
    co_await respond_error(call, no_cluster());
    co_return;
  }
  auto body = body_object(call);
  if (!body) {
    co_await respond_error(call, body.error());
    co_return;
  }
  // What was wished of a model that is known no longer can be taken back.
  const bool known = catalogue::valid_id(model) && (body->empty() || call.context.catalogue.find(model));
  if (!known) {
    const Error error = no_such_model(model);
    co_await respond_error(call, error);
    co_return;
  }
  json::object wish = std::move(*body);
  auto done = co_await call.context.options.wish(model, std::move(wish));
  json::object empty;
  if (done) co_await respond_envelope(call, std::move(empty));
  else co_await respond_error(call, done.error());
}

}  // namespace verge::api
