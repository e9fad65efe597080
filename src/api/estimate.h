// What a request may take at most, before it runs: the account's allocation has to have room for it. Pure.
#pragma once

#include <vector>

#include "catalogue/entry.h"
#include "protocol/event.h"
#include "protocol/request.h"

namespace verge::api {

// Of all Requests of one call. Text: every byte of it could be a token, and max_tokens are generated; so what a text
// model takes is never more, but for a chat template longer than its messages. Sound: by its bytes, as if coded at
// 32 kbit/s; a clip coded more densely takes more.
protocol::Usage estimate(const std::vector<protocol::Request>& requests, const catalogue::Entry& entry);

}  // namespace verge::api
