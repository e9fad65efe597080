#include "engine/tools/answer.h"

#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

using grammar::Envelope;
using Kind = grammar::EnvelopePart::Kind;

// A text without calls.
class PlainParser final : public Parser {
 public:
  void push(std::string_view text, std::vector<Delta>& out) override {
    if (!text.empty()) out.push_back({Delta::Kind::Text, 0, "", std::string(text)});
  }
  void finish(std::vector<Delta>&) override {}
};

class AnswerParser final : public Parser {
 public:
  AnswerParser(const AnswerForm& form, std::unique_ptr<Parser> body)
      : thought_(form.thought),
        body_(std::move(body)),
        calls_only_(form.syntax && form.required),
        undecided_(form.syntax && form.body &&
                   !form.syntax->trigger(form.functions).starts_with('^')),
        state_(!form.thought ? State::Body
               : form.inside ? State::Trim
                             : State::Open) {}

  void push(std::string_view text, std::vector<Delta>& out) override {
    buffer_ += text;
    while (step(out, false)) {}
  }
  void finish(std::vector<Delta>& out) override {
    while (step(out, true)) {}
    body_->finish(out);
    drop_text(out);
  }

 private:
  enum class State { Open, Trim, Thought, Before, Body };

  bool step(std::vector<Delta>& out, bool end) {
    switch (state_) {
      case State::Open: {  // whether a thought comes is told by how the answer begins
        const size_t at = skip_space(buffer_);
        const std::string_view rest = std::string_view(buffer_).substr(at);
        if (rest.starts_with(thought_->open)) {
          buffer_.erase(0, at + thought_->open.size());
          state_ = State::Trim;
          return true;
        }
        if (std::string_view(thought_->open).starts_with(rest) && !end) return false;
        state_ = State::Before;
        return true;
      }
      case State::Trim:  // line breaks behind the mark
        buffer_.erase(0, skip_space(buffer_));
        if (buffer_.empty()) return false;
        state_ = State::Thought;
        return true;
      case State::Thought: return thought(out, end);
      case State::Before: return before(end);
      case State::Body:
        if (undecided_ && !decide(end)) return false;
        body_->push(buffer_, out);
        buffer_.clear();
        drop_text(out);
        return false;
    }
    return false;
  }

  // Beside a schema for text an answer is calls where it begins with their mark, and else that text,
  // which may hold anything that looks like a call.
  bool decide(bool end) {
    const size_t at = skip_space(buffer_);
    if (at == buffer_.size() && !end) return false;
    if (at < buffer_.size() && buffer_[at] != '<' && buffer_[at] != '[')
      body_ = std::make_unique<PlainParser>();
    undecided_ = false;
    return true;
  }

  // Where the answer is a call, text can only be a mark that the answer's end cut.
  void drop_text(std::vector<Delta>& out) const {
    if (calls_only_)
      std::erase_if(out, [](const Delta& one) { return one.kind == Delta::Kind::Text; });
  }

  bool thought(std::vector<Delta>& out, bool end) {
    const size_t at = buffer_.find(thought_->close);
    size_t sure = at;
    if (at == std::string::npos) {
      sure = buffer_.size() - (end ? 0 : begun(buffer_, thought_->close));
    }
    while (sure > 0 && is_space(buffer_[sure - 1]))
      --sure;  // white space before the mark is not thought
    if (sure > 0) out.push_back({Delta::Kind::Reasoning, 0, "", buffer_.substr(0, sure)});
    if (at == std::string::npos) {
      buffer_.erase(0, end ? buffer_.size() : sure);
      return false;
    }
    buffer_.erase(0, at + thought_->close.size());
    thought_ended_ = true;
    state_ = State::Before;
    return true;
  }

  bool before(bool end) {
    const bool marks = !thought_->before_text.empty();
    if (thought_ended_ || marks) {
      const size_t space = skip_space(buffer_);
      if (space == buffer_.size() && !end) return false;
      const std::string_view rest = std::string_view(buffer_).substr(space);
      for (const std::string& mark : thought_->before_text) {
        if (rest.starts_with(mark)) {
          buffer_.erase(0, space + mark.size());
          return true;
        }
      }
      for (const std::string& mark : thought_->before_text)
        if (std::string_view(mark).starts_with(rest) && !rest.empty()) {
          if (!end) return false;
          buffer_.clear();
          return false;
        }
      if (thought_ended_) buffer_.erase(0, space);
    }
    state_ = State::Body;
    return true;
  }

  const Thought* thought_;
  std::unique_ptr<Parser> body_;
  const bool calls_only_;
  bool undecided_;  // whether calls come, or the text of a schema
  State state_;
  bool thought_ended_ = false;
  std::string buffer_;
};

}  // namespace

std::unique_ptr<Parser> answer_parser(const AnswerForm& form) {
  if (!form.thought && !form.syntax) return nullptr;
  auto body = form.syntax ? form.syntax->parser(form.functions) : std::make_unique<PlainParser>();
  return std::make_unique<AnswerParser>(form, std::move(body));
}

Result<Envelope> answer_envelope(const AnswerForm& form) {
  Envelope e;
  if (!form.syntax && !form.body) return e;
  std::vector<uint32_t> text, calls;  // parts that what follows the thought begins with
  if (form.body && !form.required) text.push_back(e.add(*form.body)), e.parts[text[0]].last = true;
  if (form.syntax) {
    VERGE_ASSIGN(made, form.syntax->add(e, form.functions, form.parallel));
    std::vector<uint32_t> first = made.first, last = made.last;
    if (first.empty()) first = made.first_at_start, last = made.last_at_start;
    for (const std::vector<uint32_t>* ends : {&made.last, &made.last_at_start})
      for (uint32_t part : *ends) e.parts[part].last = true;
    const bool again = form.parallel && form.syntax->repeats();
    if (form.required || form.body) {
      calls = first;
      if (again) {
        const uint32_t between = e.add({Kind::Pattern, form.syntax->separator()});
        e.parts[between].next = first;
        for (uint32_t part : last) e.parts[part].next.push_back(between);
      }
    } else {
      calls = made.first_at_start;
      const uint32_t free = e.add({Kind::Without, form.syntax->trigger(form.functions)});
      e.parts[free].last = true;
      e.parts[free].next = made.first;
      if (again)
        for (uint32_t part : made.last) e.parts[part].next.push_back(free);
      text.push_back(free);
    }
  }
  if (form.thought && !form.thought->before_text.empty()) {
    std::string lead;
    for (const std::string& mark : form.thought->before_text)
      lead += lead.empty() ? "(?:" + literal(mark) + ")?" : literal(mark);
    if (!text.empty()) {
      const uint32_t part = e.add({Kind::Pattern, lead});
      e.parts[part].next = std::exchange(text, {part});
      // A call has a channel of its own beside the one for text.
      if (form.syntax && !form.required && !form.body) calls = e.parts[e.parts[part].next[0]].next;
    }
    if (!calls.empty() && !form.thought->before_call.empty()) {
      const uint32_t part =
          e.add({Kind::Pattern, "(?:" + literal(form.thought->before_call) + ")?"});
      e.parts[part].next = std::exchange(calls, {part});
    }
  }
  std::vector<uint32_t> rest = text;
  rest.insert(rest.end(), calls.begin(), calls.end());
  if (!form.thought) {
    e.first = rest;
    return e;
  }
  const uint32_t thinking = e.add({Kind::Without, literal(form.thought->close)});
  const uint32_t close = e.add({Kind::Pattern, literal(form.thought->close) + "\\s{0,4}"});
  e.parts[thinking].next = {close};
  // Without a call or a schema to come the thought may be all that there is.
  e.parts[thinking].last = form.inside && !form.required && !form.body;
  e.parts[close].next = rest;
  if (form.inside) {
    e.first = {thinking};
    return e;
  }
  const uint32_t open = e.add({Kind::Pattern, "\\s{0,2}" + literal(form.thought->open)});
  e.parts[open].next = {thinking};
  e.first = rest;
  e.first.push_back(open);
  return e;
}

}  // namespace verge::engine::tools
