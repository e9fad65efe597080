#include "router/resume.h"

namespace verge::router {

using namespace protocol;

Request Resume::next() {
  ++attempts_;
  attempt_accepted_ = false;
  progress_ = false;
  attempt_parts_ = 0;
  return request_;
}

verge::Result<std::optional<Event>> Resume::pass(Event event) {
  const std::optional<Event> nothing;
  if (auto* e = std::get_if<Accepted>(&event)) {
    attempt_accepted_ = true;
    if (!accepted_) {
      accepted_ = *e;
      return std::optional<Event>(std::move(event));
    }
    if (!e->build.empty() && !accepted_->build.empty() && e->build != accepted_->build)
      return fail(Code::WorkerGone, "the answer could not be continued with the same bytes: node {} has other weights or another instruction set than {}, which is gone",
                  e->node, accepted_->node);
    if (e->model != accepted_->model || e->prompt_tokens != accepted_->prompt_tokens)
      return fail(Code::Internal, "the answer could not be continued: {} with {} prompt tokens was replayed as {} with {}", accepted_->model,
                  accepted_->prompt_tokens, e->model, e->prompt_tokens);
    return nothing;
  }
  if (auto* e = std::get_if<Token>(&event)) {
    progress_ = true;
    request_.resume_ids.insert(request_.resume_ids.end(), e->ids.begin(), e->ids.end());
    return std::optional<Event>(std::move(event));
  }
  if (std::holds_alternative<Part>(event)) {
    if (attempt_parts_++ < parts_) return nothing;  // the client has it from the attempt before
    ++parts_;
    progress_ = true;
    return std::optional<Event>(std::move(event));
  }
  if (std::holds_alternative<protocol::Result>(event)) {
    if (result_) return nothing;
    result_ = progress_ = true;
    return std::optional<Event>(std::move(event));
  }
  if (auto* e = std::get_if<Usage>(&event)) {
    if (usage_) return nothing;
    usage_ = true;
    if (attempts_ > 1 && accepted_) e->cached_tokens = accepted_->cached_tokens;
    return std::optional<Event>(std::move(event));
  }
  return std::optional<Event>(std::move(event));
}

}  // namespace verge::router
