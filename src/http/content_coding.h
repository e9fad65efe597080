// Content codings of a body (RFC 9110, 8.4.1): gzip, deflate, br and zstd are undone. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "support/error.h"

namespace verge::http {

enum class Coding { Gzip, Deflate, Brotli, Zstd };

// For `Accept-Encoding` of an answer that refuses another one.
inline constexpr std::string_view kCodingsTaken = "gzip, deflate, br, zstd";

// The codings of a comma-separated list, in the order in which they were applied; `identity` and empty items are none.
// Names have no case; x-gzip is gzip. InvalidInput names the coding that is unknown, or says that there are too many.
Result<std::vector<Coding>> parse_codings(std::string_view list);

// Undoes one coding; what content_coding.cpp knows of the libraries.
class Unpacker {
 public:
  enum class State { More, Done, Damaged };
  virtual ~Unpacker() = default;
  // Appends about `most` bytes at most. Damaged: no such stream, one that ends early, or bytes behind its end.
  virtual State step(size_t most, std::string& out) = 0;
};

// Undoes all codings of a body, a step at a time, so that other work gets its turn between two steps.
class BodyUnpacker {
 public:
  enum class State { More, Done, Damaged, TooLarge };
  BodyUnpacker(std::vector<Coding> codings, std::string body, size_t max_bytes);
  ~BodyUnpacker();
  State step();
  size_t held_bytes() const;    // in memory now: both sides of a coding, and its window
  std::string take() { return std::move(packed_); }  // after Done
  std::string_view why() const { return why_; }      // after Damaged: for the client

 private:
  std::vector<Coding> codings_;  // those left
  std::string packed_, unpacked_;
  std::unique_ptr<Unpacker> unpacker_;  // of the outermost one left; reads packed_
  size_t wire_bytes_, max_bytes_;
  std::string_view why_;
};

}  // namespace verge::http
