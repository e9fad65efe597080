// Types of parameters of Responses and Messages that nothing reads, or that an answer repeats: one of
// another type is named, and neither taken nor given back.
#pragma once

#include "api/tasks/parameters.h"

namespace verge::api {

// InvalidInput for the first parameter of `body` that is of another type. Null is as absent.
Result<void> check_types(Surface surface, const json::object& body);

}  // namespace verge::api
