// A request as a hosted Worker gets it, and the headers of its answer. Pure.
#pragma once

#include "http/client.h"
#include "http/message.h"

namespace verge::hosting {

// Whether the Host can be part of a URL, and the target is a path.
bool names_plain_host(const http::RequestHead& head);

// Takes the body. What only the gateway says to a Worker (its own headers, the client's address,
// request.cf) is the gateway's word, whatever the client has sent.
http::ClientRequest request_for_worker(http::Incoming& in);

// Without the headers of one connection (RFC 9110, 7.6.1); lengths are set anew.
http::Headers end_to_end(const http::Headers& headers);

}  // namespace verge::hosting
