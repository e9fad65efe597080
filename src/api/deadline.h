// Until when an answer must have begun.
#pragma once

#include "api/call.h"

namespace verge::api {

// Sets Call::deadline_ms: what the header `cf-aig-request-timeout` says (milliseconds until the
// first part of the answer, as AI Gateway has it), else kRequestMs.
// Errors: InvalidInput, where the header is no number of milliseconds from 1 to kRequestMs.
Result<void> read_deadline(Call& call);

}  // namespace verge::api
