#include "engine/tools/named_calls.h"

#include <algorithm>

#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

using grammar::Envelope;
using Kind = grammar::EnvelopePart::Kind;

std::string numbered(std::string_view text, size_t number) {
  std::string out(text);
  if (const size_t at = out.find("{n}"); at != std::string::npos)
    out.replace(at, 3, std::to_string(number));
  return out;
}

class NamedCallParser final : public Scanner {
 public:
  explicit NamedCallParser(const NamedCalls::Form& form) : form_(form), between_{form.open} {
    opens_.push_back(form_.open);
    if (!form_.section_open.empty()) opens_.push_back(form_.section_open);
    for (const std::string* mark : {&form_.close, &form_.section_close})
      if (!mark->empty())
        between_.push_back(mark->substr(skip_space(*mark)));  // white space is passed over
  }

 private:
  enum class State { Text, Section, Name, Arguments, After };

  bool step(bool end) override {
    switch (state_) {
      case State::Text: {
        const int found = say_until(opens_, end);
        if (found < 0) return false;
        state_ = found == 0 ? State::Name : State::Section;
        return true;
      }
      case State::Section:
        if (!drop_mark(form_.open, end)) return false;
        state_ = State::Name;
        return true;
      case State::Name: return name(end);
      case State::Arguments: {
        const size_t n = value_.take(buffer_);
        arguments(std::string_view(buffer_).substr(0, n));
        drop(n);
        if (!value_.done()) return false;
        state_ = State::After;
        return true;
      }
      case State::After: return after(end);
    }
    return false;
  }

  bool name(bool end) {
    const size_t at = buffer_.find(form_.arguments_mark);
    size_t begin =
        at == std::string::npos ? at : skip_space(buffer_, at + form_.arguments_mark.size());
    if (at == std::string::npos || begin >= buffer_.size()) {
      if (end) buffer_.clear();
      return false;
    }
    std::string_view called = std::string_view(buffer_).substr(0, at);
    if (!form_.before_name.empty())
      if (const size_t prefix = called.rfind(form_.before_name); prefix != called.npos)
        called.remove_prefix(prefix + form_.before_name.size());
    if (!form_.name_end.empty()) called = called.substr(0, called.find(form_.name_end));
    called = called.substr(0, called.find_first_of(" \n\t<["));
    begin_call(called);
    drop(begin);
    value_ = {};
    state_ = State::Arguments;
    return true;
  }

  // Marks between calls and behind the last are passed over.
  bool after(bool end) {
    const size_t at = skip_space(buffer_);
    const std::string_view rest = std::string_view(buffer_).substr(at);
    for (const std::string& mark : between_) {
      if (!rest.starts_with(mark)) continue;
      const bool opens = mark == form_.open;
      drop(at + mark.size());
      state_ = opens ? State::Name : State::After;
      return true;
    }
    const bool may_come =
        std::any_of(between_.begin(), between_.end(),
                    [&](const std::string& mark) { return mark.starts_with(rest); });
    if (may_come && !end) return false;
    if (may_come) buffer_.clear();
    state_ = State::Text;
    return !buffer_.empty();
  }

  const NamedCalls::Form form_;
  std::vector<std::string> opens_, between_;
  State state_ = State::Text;
  JsonExtent value_;
};

}  // namespace

std::vector<std::string> NamedCalls::marks() const {
  std::vector<std::string> out = form_.more_marks;
  for (const std::string* mark : {&form_.section_open, &form_.open, &form_.arguments_mark,
                                  &form_.close, &form_.section_close})
    if (!mark->empty()) out.push_back(*mark);
  return out;
}

std::string NamedCalls::render(std::span<const Call> calls) const {
  std::string out = form_.section_open;
  for (size_t i = 0; i < calls.size(); ++i)
    out += form_.open + form_.before_name + calls[i].name + numbered(form_.after_name, i) +
           calls[i].arguments + form_.close;
  return out + form_.section_close;
}

std::unique_ptr<Parser> NamedCalls::parser(std::span<const Function>) const {
  return std::make_unique<NamedCallParser>(form_);
}

std::string NamedCalls::trigger(std::span<const Function>) const {
  // Both, as both are read as a call's beginning: no call but under the grammar.
  return (form_.section_open.empty() ? "" : literal(form_.section_open) + "|") +
         literal(form_.open);
}

Result<CallParts> NamedCalls::add(Envelope& e, std::span<const Function> functions,
                                  bool parallel) const {
  CallParts out;
  std::string after = literal(form_.after_name);
  if (const size_t at = after.find("\\{n\\}"); at != std::string::npos)
    after.replace(at, 5, "[0-9]{1,2}");
  const std::string begin = literal(form_.open + form_.before_name);
  const std::string section =
      form_.section_open.empty() ? "" : "(?:" + literal(form_.section_open) + ")?";
  const uint32_t first = e.add({Kind::Pattern, section + begin});
  const uint32_t close = e.add({Kind::Pattern, literal(form_.close)});
  const bool list = parallel && !form_.section_open.empty();
  const uint32_t again = list ? e.add({Kind::Pattern, "\\n?" + begin}) : 0;
  const uint32_t end = e.add({Kind::Pattern, literal(form_.section_close)});
  for (const Function& f : functions) {
    const uint32_t name = e.add({Kind::Pattern, literal(f.name) + after});
    const uint32_t object = e.add({Kind::Object, f.schema, "", "", f.at});
    e.parts[first].next.push_back(name);
    if (list) e.parts[again].next.push_back(name);
    e.parts[name].next = {object};
    e.parts[object].next = {close};
  }
  e.parts[close].next = {end};
  if (list) e.parts[close].next.push_back(again);
  out.first = {first};
  out.last = {end};
  return out;
}

}  // namespace verge::engine::tools
