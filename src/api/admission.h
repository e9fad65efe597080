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

// What can be told of admit() before the body is read: false = it will refuse.
bool may_send_body(const Context& context, const http::RequestHead& head, const Route& route);

bool loopback_origin(std::string_view origin);

// Whether the Host names this machine, or is the one that workerd's `env.AI` binding sends on a route of its own.
bool own_host(const http::RequestHead& head, const Options& options);
Error foreign_host(const http::RequestHead& head);

}  // namespace verge::api
