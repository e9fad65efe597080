// What a machine has too little of at the moment, memory, descriptors or processes: no fault of the request or of a file.
#pragma once

#include <string>
#include <utility>

#include "support/error.h"

namespace verge {

inline constexpr int64_t kShortageRetryMs = 5'000;  // some are free again by then

// LoadFailed that says when to try again.
inline Error shortage(std::string message) {
  Error error{Code::LoadFailed, std::move(message)};
  error.retry_after_ms = kShortageRetryMs;
  return error;
}

inline bool is_shortage(const Error& error) { return error.code == Code::LoadFailed && error.retry_after_ms > 0; }

}  // namespace verge
