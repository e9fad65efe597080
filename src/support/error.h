// Errors are values. No exception crosses a file boundary in Verge: a function that
// can fail returns Result<T>, and the code says what the caller may do about it.
#pragma once

#include <fmt/format.h>

#include <cassert>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace verge {

// Few codes, each naming what a caller can do. Published numbers (5007, 3040 …) and HTTP
// statuses are known to api/errors.cpp alone.
enum class Code {
  InvalidInput,          // the request's body is wrong: change it
  UnsupportedParameter,  // published but not built yet, or not for this model: leave it out
  NoSuchModel,           // unknown id
  ModelUnavailable,      // known id, weights not on this machine: `verge pull`
  ContextOverflow,       // prompt + max_tokens past the context window (requested, limit set)
  TooLarge,              // body over the limit
  Unauthenticated,       // no or unknown token
  Forbidden,             // the token lacks the right
  NotFound,              // no such route or object
  MethodNotAllowed,      //
  Busy,                  // queue full or waited too long: retry after a while
  QuotaUsed,             // the account's daily allocation is spent: retry tomorrow
  Timeout,               // the deadline passed
  Aborted,               // the client left
  LoadFailed,            // the model file is damaged or of an unsupported kind
  WorkerGone,            // the worker or node died; the router retries elsewhere
  Io,                    // disk or network
  Internal,              // a bug
  RateLimited,           // too many requests of the account: retry when told
};

struct Error {
  Code code = Code::Internal;
  std::string message;         // for people; says what to do
  int64_t requested = 0;       // ContextOverflow, TooLarge: what was asked
  int64_t limit = 0;           //                            and what is allowed; QuotaUsed: micro-neurons a day
  int64_t retry_after_ms = 0;  // Busy, QuotaUsed, RateLimited: when a retry may help; 0 = unknown
  std::string pointer = {};    // JSON pointer of the value in the request that is wrong: "/top_k"; empty = none
};

// Stable text form of a code on the internal wire ("no_such_model"). Unknown text reads as Internal.
const char* to_string(Code code);
Code code_from_string(std::string_view text);

template <class T = void>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  explicit operator bool() const { return state_.index() == 0; }
  bool ok() const { return state_.index() == 0; }
  T& value() & { assert(ok()); return *std::get_if<0>(&state_); }
  const T& value() const& { assert(ok()); return *std::get_if<0>(&state_); }
  T&& value() && { assert(ok()); return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { assert(!ok()); return *std::get_if<1>(&state_); }
  Error& error() { assert(!ok()); return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT(google-explicit-constructor)
  explicit operator bool() const { return ok_; }
  bool ok() const { return ok_; }
  const Error& error() const { assert(!ok_); return error_; }
  Error& error() { assert(!ok_); return error_; }

 private:
  Error error_;
  bool ok_ = true;
};

// return fail(Code::ContextOverflow, "{} tokens, limit {}", n, max);
template <class... Args>
[[nodiscard]] Error fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

// return fail_at(Code::InvalidInput, "/top_k", "'/top_k' must be <= {}", 50);
template <class... Args>
[[nodiscard]] Error fail_at(Code code, std::string pointer, fmt::format_string<Args...> format, Args&&... args) {
  Error error{code, fmt::format(format, std::forward<Args>(args)...)};
  error.pointer = std::move(pointer);
  return error;
}

}  // namespace verge

// Returns the error of a Result-valued expression from the enclosing function.
#define VERGE_TRY(expr)                                     \
  do {                                                      \
    if (auto verge_try_ = (expr); !verge_try_) return std::move(verge_try_.error()); \
  } while (0)
// Declares `name` from a Result-valued expression, or returns its error.
#define VERGE_CONCAT_(a, b) a##b
#define VERGE_CONCAT(a, b) VERGE_CONCAT_(a, b)
#define VERGE_ASSIGN(name, expr)                                             \
  auto VERGE_CONCAT(verge_r_, __LINE__) = (expr);                            \
  if (!VERGE_CONCAT(verge_r_, __LINE__)) return std::move(VERGE_CONCAT(verge_r_, __LINE__).error()); \
  auto name = std::move(*VERGE_CONCAT(verge_r_, __LINE__))
