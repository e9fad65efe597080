// Limits of function calling, each with its reason. They stand apart from limits.h because that
// header is included by
// every file.
#pragma once

#include <cstddef>

namespace verge::limits {

inline constexpr size_t kTools = 512;               // of one request; agents with several MCP servers send 100 to 200
inline constexpr size_t kToolNameBytes = 128;       // OpenAI's limit is 64; names that MCP clients prefix are longer
inline constexpr size_t kCallsOfMessage = 128;      // in a message of a history

}  // namespace verge::limits
