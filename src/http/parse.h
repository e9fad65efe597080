// The grammar of HTTP/1.1 messages (RFC 9112), read strictly. Pure: bytes in, plain data out.
//
// Strict, because two readers that disagree about where a message ends is what request smuggling
// lives on. Refused therefore: bare CR or LF, folded lines, space before a colon, control characters,
// two Content-Lengths (equal ones too), Content-Length beside Transfer-Encoding, any coding but
// `chunked`, numbers with a sign or prefix, a missing or second Host. A lenient parser with a filter
// in front of it would read every byte twice and still be two readers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"

namespace verge::http {

// A status and the reason to send with it; 0 = nothing wrong.
struct Refusal {
  int status = 0;
  const char* why = "";
  explicit operator bool() const { return status != 0; }
};

enum class BodyKind { None, Length, Chunked, UntilClose };

struct Framing {
  BodyKind body = BodyKind::None;
  uint64_t length = 0;           // for Length
  bool keep_alive = true;
  bool expect_continue = false;  // requests: the client waits for "100 Continue" before it sends the body
};

// Finds the end of a head (the empty line) in bytes that arrive piece by piece.
class HeadScanner {
 public:
  enum class State { More, Done, Bad };
  // `bytes` is all that has arrived since the message began; bytes seen by an earlier call are not
  // looked at again. Bad: a bare LF.
  State scan(std::string_view bytes);
  size_t size() const { return position_; }  // Done: bytes of the head, empty line included
  void reset() { *this = {}; }

 private:
  size_t position_ = 0;    // bytes looked at
  size_t line_start_ = 0;  // where the current line begins
};

// `head` runs to the end of its empty line. Fills everything of `out` that comes from the wire.
Refusal parse_request_head(std::string_view head, RequestHead& out, Framing& framing);

struct ResponseHead {
  int status = 0;
  Headers headers;
};
// `head_request`: the answer is to a HEAD and has no body whatever its headers say.
Refusal parse_response_head(std::string_view head, bool head_request, ResponseHead& out, Framing& framing);

// Takes a chunked body apart. Extensions are skipped, trailers dropped; both bounded.
class ChunkDecoder {
 public:
  enum class State { More, Done, Bad, TooLarge };
  // Appends to `out`, which never grows past max_bytes; `used` = bytes of `in` that belong to the body.
  State feed(std::string_view in, size_t max_bytes, std::string& out, size_t& used);

 private:
  enum class Step { Size, Extension, SizeLf, Data, DataCr, DataLf, TrailerStart, Trailer, TrailerLf, EndLf, Done };
  Step step_ = Step::Size;
  uint64_t left_ = 0;    // of the current chunk
  int digits_ = 0;       // of the current size line
  size_t overhead_ = 0;  // bytes of this size line's extension, or of all trailers
};

bool valid_header(const Header& header);  // name is a token; value has no control characters
bool is_token(std::string_view text);

}  // namespace verge::http
