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
//    site could use the models of whoever visits it. So they are where this machine's own programs need no token at all.
Result<void> admit(Call& call, const Route& route);

// No web page asks, or one of this machine's or one that the server was told of.
bool page_may_read(const Call& call);
bool loopback_origin(std::string_view origin);

}  // namespace verge::api
