// Runs `verge convert` for the API: a process a document, a few at a time, bounded in time and output. A process that stands still, or
// closes its output and stays, is killed at the limit; one whose client has left, at once.
#pragma once

#include <string>

#include "http/message.h"
#include "support/error.h"
#include "support/limits.h"
#include "support/pool.h"

namespace verge::server {

class Converter {
 public:
  // `program` understands `convert KIND MEDIA-TYPE`. The converter goes before the executor of those who wait for it.
  explicit Converter(std::string program, int limit_ms = limits::kConvertSeconds * 1000);

  // Markdown of the document, in valid UTF-8; `kind` as convert::kind_of gives it, `media_type` as the client
  // did. InvalidInput with the converter's own words; Aborted.
  http::task<Result<std::string>> convert(std::string kind, std::string media_type, std::string bytes);

 private:
  std::string program_;
  int limit_ms_;
  Pool pool_;
};

}  // namespace verge::server
