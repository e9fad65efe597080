// HTTP messages: heads and chunked bodies, in pieces of the input's own choosing. What is accepted has
// one framing, and how the bytes were cut makes no difference.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/parse.h"

using namespace verge::http;

namespace {

struct Outcome {
  HeadScanner::State head = HeadScanner::State::More;
  size_t head_size = 0;
  int status = -1;
  ChunkDecoder::State body = ChunkDecoder::State::More;
  std::string decoded;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view wire, size_t step) {
  Outcome out;
  HeadScanner scanner;
  for (size_t n = step; out.head == HeadScanner::State::More; n += step) {
    out.head = scanner.scan(wire.substr(0, n));
    if (n >= wire.size()) break;
  }
  if (out.head != HeadScanner::State::Done) return out;
  out.head_size = scanner.size();
  RequestHead head;
  Framing framing;
  out.status = parse_request_head(wire.substr(0, scanner.size()), head, framing).status;
  if (out.status == 0) {
    if (has_header(head.headers, "content-length") && has_header(head.headers, "transfer-encoding")) std::abort();
    if (head.path.find('\0') != std::string::npos) std::abort();
    (void)head.query_param("a");
  }
  ResponseHead response;
  (void)parse_response_head(wire.substr(0, scanner.size()), false, response, framing);
  ChunkDecoder chunks;
  wire.remove_prefix(scanner.size());
  while (!wire.empty() && out.body == ChunkDecoder::State::More) {
    size_t used = 0;
    out.body = chunks.feed(wire.substr(0, step), 1 << 16, out.decoded, used);
    if (used > step || out.decoded.size() > (1 << 16)) std::abort();
    wire.remove_prefix(used);
  }
  if (out.body == ChunkDecoder::State::TooLarge) out.decoded.clear();  // how far it got depends on the pieces
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view wire(reinterpret_cast<const char*>(data + 1), size - 1);
  if (!(read(wire, 1 + data[0] % 61) == read(wire, wire.size() + 1))) std::abort();
  return 0;
}
