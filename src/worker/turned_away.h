// Why a model that takes its requests one by one turns one away before it begins.
#pragma once

#include <optional>
#include <string_view>

#include "protocol/event.h"
#include "support/error.h"

namespace verge::worker {

// What the service has: `most` requests at a time, each of which is one of `things` ("clips").
struct Occupancy {
  bool draining = false;
  size_t active = 0, most = 0;
  std::string_view things;
};

// Busy with a time to come back, InvalidInput for another task; nullopt: it may begin.
inline std::optional<Error> turned_away(const protocol::Request& request, std::string_view task,
                                        const Occupancy& here) {
  const auto busy = [](Error error) {
    error.retry_after_ms = 1000;
    return error;
  };
  if (here.draining) return busy(fail(Code::Busy, "This worker is shutting down. Try again."));
  if (here.active >= here.most)
    return busy(fail(Code::Busy, "The model's queue is full ({} {} are here). Try again later.",
                     here.active, here.things));
  if (request.reject_if_busy && here.active > 0)
    return busy(fail(Code::Busy, "The model is busy. Try again later."));
  if (!request.task.empty() && request.task != task)
    return fail(Code::InvalidInput, "This model's task is {}, not {}.", task, request.task);
  return std::nullopt;
}

}  // namespace verge::worker
