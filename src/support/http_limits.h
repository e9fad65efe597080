// Limits of connections and bodies, each with its reason. They stand apart from limits.h because that header is
// included by every file, the engine's too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace verge::limits {

// Content codings of a request's body. Arrays of numbers from a picture pack to a tenth or so, a blank one to less.
inline constexpr size_t kContentCodings = 4;           // one around the other
inline constexpr size_t kUnpackedRatio = 200;          // bytes that one byte on the wire may become ...
inline constexpr size_t kUnpackedFree = 10 << 20;      // ... once it is more than any text may be
inline constexpr size_t kUnpackStep = 256 << 10;       // unpacked at once: then other connections get their turn
inline constexpr int kZstdWindowLog = 23;              // 8 MiB, the most that RFC 9659 asks for
inline constexpr size_t kUnpackerBytes = 16 << 20;     // a brotli window, the largest of all

// Room that one client can take. Bodies are charged by what has arrived; the first bytes of each are free, so that an
// ordinary request gets in beside whatever its neighbours, or those who share its address, send.
inline constexpr size_t kBodiesClientBytes = 256 << 20;  // bodies in memory of one address, and of one token
inline constexpr size_t kBodyFreeBytes = 64 << 10;       // 10,000 connections with so much are under the limit of all
inline constexpr size_t kBodyFirstBytes = 16 << 10;      // of memory for a body; doubles as bytes arrive
inline constexpr int kBodyStillMs = 2'000;               // nothing came for so long: it makes room for others
inline constexpr int kStalledMs = 1'000;                 // a client that took nothing for so long reads nothing
inline constexpr size_t kQueuedBytes = 256 << 10;        // of a stream behind what the socket does not take

// Charsets of text. Names are a few words; the longest registered one has 45 characters.
inline constexpr size_t kCharsetBytes = 64;

// An answer that has not begun by then: nobody waits for it.
inline constexpr int64_t kRequestMs = 3'600'000;

}  // namespace verge::limits
