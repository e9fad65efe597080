// Who may ask: tokens, and web pages.
#pragma once

#include <string>

#include "api/call.h"
#include "api/routes.h"

namespace verge::api {

// Decides before anything of the body is looked at, and sets call.tenant. Unauthenticated, Forbidden.
//  - An account in the path is a name of at most 64 printable ASCII characters; else there is no such route.
//  - Once a token was made, every route but the open ones needs one.
//  - Until then the machine's own programs need none, others are refused. A web page in the user's
//    browser is such a program too: pages of other origins than this machine's are refused, or any
//    site could use the models of whoever visits it.
Result<void> admit(Call& call, const Route& route);

bool loopback_origin(std::string_view origin);

}  // namespace verge::api
