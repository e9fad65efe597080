// Runs `verge convert` for the API: a process a document, a few at a time, bounded in time and output.
#pragma once

#include <string>

#include "http/message.h"
#include "support/error.h"

namespace verge::commands {

// Markdown of the document; `kind` as convert::kind_of gives it. InvalidInput with the converter's own words, Timeout.
http::task<Result<std::string>> convert_document(std::string kind, std::string bytes);

}  // namespace verge::commands
