#include "engine/tools/pythonic_calls.h"

#include <algorithm>
#include <set>

#include "engine/tools/arguments.h"
#include "engine/tools/notation.h"
#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

using grammar::Envelope;
using Kind = grammar::EnvelopePart::Kind;

constexpr std::string_view kMarks[] = {"<|python_start|>", "<|python_tag|>"};

// JSON as Python spells it.
std::string python(const json::value& value) {
  if (value.is_bool()) return value.get_bool() ? "True" : "False";
  if (value.is_null()) return "None";
  std::string out;
  if (const json::array* list = value.if_array()) {
    for (const json::value& item : *list) out += (out.empty() ? "" : ", ") + python(item);
    return "[" + out + "]";
  }
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, item] : *object)
      out += (out.empty() ? "" : ", ") + quoted_json(key) + ": " + python(item);
    return "{" + out + "}";
  }
  return json::serialize(value);
}

class PythonicParser final : public Scanner {
 public:
  explicit PythonicParser(std::span<const Function> functions) {
    for (const Function& f : functions) names_.insert(f.name);
  }

 private:
  enum class State { Start, Text, Name, Arguments, After, Close };

  bool step(bool end) override {
    switch (state_) {
      case State::Start: return start(end);
      case State::Text:
        say(buffer_);
        buffer_.clear();
        return false;
      case State::Name: return name(end);
      case State::Arguments: return argument(end);
      case State::After: return after(end);
      case State::Close:
        if (!drop_mark("<|python_end|>", end)) return false;
        state_ = State::Text;
        return true;
    }
    return false;
  }

  // Calls are the whole answer: whether there are any is told by how it begins.
  bool start(bool end) {
    size_t at = skip_space(buffer_);
    for (std::string_view mark : kMarks) {
      const std::string_view rest = std::string_view(buffer_).substr(at);
      if (rest.starts_with(mark)) {  // one, as the trigger has it
        at = skip_space(buffer_, at + mark.size());
        break;
      }
      if (mark.starts_with(rest) && !end) return false;
    }
    if (at < buffer_.size() && buffer_[at] == '[') {
      const size_t name = skip_space(buffer_, at + 1), open = buffer_.find('(', name);
      if (open != std::string::npos && names_.contains(buffer_.substr(name, open - name))) {
        drop(name);
        state_ = State::Name;
        return true;
      }
      const std::string begun = buffer_.substr(name);
      const bool may_be = open == std::string::npos &&
                          std::any_of(names_.begin(), names_.end(), [&](const std::string& one) {
                            return one.starts_with(begun);
                          });
      if (may_be && !end) return false;
    } else if (at >= buffer_.size() && !end) {
      return false;
    }
    state_ = State::Text;
    return true;
  }

  bool name(bool end) {
    const size_t begin = skip_space(buffer_), open = buffer_.find('(');
    if (open == std::string::npos) {
      if (end) buffer_.clear();
      return false;
    }
    begin_call(std::string_view(buffer_).substr(begin, open - begin));
    drop(open + 1);
    first_ = true;
    state_ = State::Arguments;
    return true;
  }

  bool argument(bool end) {
    const size_t begin = skip_space(buffer_);
    if (begin < buffer_.size() && buffer_[begin] == ')') {
      arguments(first_ ? "{}" : "}");
      drop(begin + 1);
      state_ = State::After;
      return true;
    }
    const size_t equals = buffer_.find('=', begin);
    const size_t stop = equals == std::string::npos
                            ? equals
                            : value_end(std::string_view(buffer_).substr(equals + 1), "");
    if (stop == std::string::npos) {
      if (end) buffer_.clear();
      return false;
    }
    std::string_view key = std::string_view(buffer_).substr(begin, equals - begin);
    while (!key.empty() && is_space(key.back())) key.remove_suffix(1);
    arguments((first_ ? "{" : ", ") + quoted_json(key) + ": " +
              value_to_json(std::string_view(buffer_).substr(equals + 1, stop), ""));
    first_ = false;
    const size_t next = equals + 1 + stop;
    drop(buffer_[next] == ',' ? next + 1 : next);
    return true;
  }

  bool after(bool end) {
    const size_t at = skip_space(buffer_);
    if (at >= buffer_.size()) {
      if (end) buffer_.clear();
      return false;
    }
    const char c = buffer_[at];
    if (c == ',' || c == ']') drop(at + 1);
    state_ = c == ',' ? State::Name : State::Close;
    return true;
  }

  std::set<std::string> names_;
  State state_ = State::Start;
  bool first_ = true;
};

class PythonicCalls final : public Syntax {
 public:
  std::string_view name() const override { return "pythonic"; }
  std::vector<std::string> marks() const override {
    return {"<|python_start|>", "<|python_end|>", "<|python_tag|>"};
  }
  std::string render(std::span<const Call> calls) const override {
    std::string out;
    for (const Call& call : calls) {
      std::string list;
      for (const auto& [name, value] : pairs_of(call))
        list += (list.empty() ? "" : ", ") + name + "=" + python(value);
      out += (out.empty() ? "" : ", ") + call.name + "(" + list + ")";
    }
    return "[" + out + "]";
  }
  std::unique_ptr<Parser> parser(std::span<const Function> functions) const override {
    return std::make_unique<PythonicParser>(functions);
  }
  std::string trigger(std::span<const Function> functions) const override {
    std::string names;
    for (const Function& f : functions) names += (names.empty() ? "" : "|") + literal(f.name);
    return "^\\s*(?:<\\|python_(?:start|tag)\\|>)?\\s*\\[\\s*(?:" + names + ")\\(";
  }
  Result<CallParts> add(Envelope& e, std::span<const Function> functions,
                        bool parallel) const override {
    const uint32_t open = e.add({Kind::Pattern, "(?:<\\|python_start\\|>)?\\["}),
                   close = e.add({Kind::Pattern, "\\](?:<\\|python_end\\|>)?"});
    const uint32_t end = e.add({Kind::Pattern, "\\)"}),
                   comma = parallel ? e.add({Kind::Pattern, ", ?"}) : 0;
    ArgumentStyle style;
    style.before = [](const Argument& one, bool first) {
      return (first ? "" : ", ?") + literal(one.name) + "=";
    };
    style.python = true;
    for (const Function& f : functions) {
      const uint32_t name = e.add({Kind::Pattern, literal(f.name) + "\\("});
      e.parts[open].next.push_back(name);
      if (parallel) e.parts[comma].next.push_back(name);
      VERGE_TRY(add_arguments(e, f, style, name, end));
    }
    e.parts[end].next = {close};
    if (parallel) e.parts[end].next.push_back(comma);
    CallParts out;
    out.first_at_start = {open};
    out.last_at_start = {close};
    return out;
  }
  bool repeats() const override { return false; }
};

}  // namespace

const Syntax& pythonic() {
  static const PythonicCalls s;
  return s;
}

}  // namespace verge::engine::tools
