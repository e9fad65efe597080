// Makes several attempts look like one answer. Pure: events of the attempts in, events for the client out.
// RS1 The client sees one Accepted, one Result, one Usage at most, and every id, every byte of text and every Part once.
// RS2 A second attempt is asked to go on after the ids that the client has (Request::resume_ids): sampling
//    depends on seed and position alone, so it goes on with the same token and the same byte.
// RS3 An attempt that cannot be a continuation (another model, another prompt length) is refused; so is one by another build before
//    the client has anything of it, and a third node may be of the right one.
// RS4 Usage is that of an answer without interruption: what was cached for a replay is not the client's.
#pragma once

#include <optional>

#include "protocol/event.h"
#include "protocol/request.h"
#include "support/error.h"

namespace verge::router {

class Resume {
 public:
  explicit Resume(protocol::Request request) : request_(std::move(request)) { given_ = request_.resume_ids.size(); }

  // The request of the next attempt.
  protocol::Request next();

  // What the client gets for an event that is not Failure; nullopt = nothing.
  verge::Result<std::optional<protocol::Event>> pass(protocol::Event event);

  bool accepted() const { return attempt_accepted_; }  // by the current attempt
  bool progress() const { return progress_; }          // the current attempt brought something new
  bool started() const { return accepted_.has_value(); }
  std::string build() const { return accepted_ ? accepted_->build : std::string(); }  // of what answered first
  bool resumed() const { return request_.resume_ids.size() > given_; }
  const protocol::Request& request() const { return request_; }

 private:
  protocol::Request request_;  // resume_ids grows by what the client gets
  size_t given_ = 0;           // ids that it had on arrival
  std::optional<protocol::Accepted> accepted_;
  bool attempt_accepted_ = false;
  bool progress_ = false;
  bool result_ = false;
  bool usage_ = false;
  int attempts_ = 0;
  int parts_ = 0, attempt_parts_ = 0;
};

}  // namespace verge::router
