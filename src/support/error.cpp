#include "support/error.h"

#include <array>

namespace verge {
namespace {

struct Name {
  Code code;
  const char* text;
};
constexpr std::array kNames = {
    Name{Code::InvalidInput, "invalid_input"},
    Name{Code::UnsupportedParameter, "unsupported_parameter"},
    Name{Code::NoSuchModel, "no_such_model"},
    Name{Code::ModelUnavailable, "model_unavailable"},
    Name{Code::ContextOverflow, "context_overflow"},
    Name{Code::TooLarge, "too_large"},
    Name{Code::Unauthenticated, "unauthenticated"},
    Name{Code::Forbidden, "forbidden"},
    Name{Code::NotFound, "not_found"},
    Name{Code::MethodNotAllowed, "method_not_allowed"},
    Name{Code::Busy, "busy"},
    Name{Code::QuotaUsed, "quota_used"},
    Name{Code::RateLimited, "rate_limited"},
    Name{Code::Timeout, "timeout"},
    Name{Code::Aborted, "aborted"},
    Name{Code::LoadFailed, "load_failed"},
    Name{Code::WorkerGone, "worker_gone"},
    Name{Code::Io, "io"},
    Name{Code::Internal, "internal"},
};

}  // namespace

const char* to_string(Code code) {
  for (const Name& name : kNames)
    if (name.code == code) return name.text;
  return "internal";
}

Code code_from_string(std::string_view text) {
  for (const Name& name : kNames)
    if (text == name.text) return name.code;
  return Code::Internal;
}

}  // namespace verge
