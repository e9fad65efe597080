// The description of the API as OpenAPI 3.1: made from the table of routes, the catalogue's published schemas
// and the tables of parameters, so that it cannot tell another story than the server. Pure.
#pragma once

#include "catalogue/catalogue.h"
#include "support/json.h"

namespace verge::api {

// Every route is an operation with an id of its own. Schemas are those of published models: what a user's own
// catalogue adds is not told to everybody.
json::object openapi_document(const catalogue::Catalogue& catalogue);

}  // namespace verge::api
