#include "engine/tools/gemma_calls.h"

#include "engine/tools/arguments.h"
#include "engine/tools/notation.h"
#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

using grammar::Envelope;
using Kind = grammar::EnvelopePart::Kind;

struct Form {
  std::string_view name;
  std::string open, close;  // around a call
  std::string quote;        // around a text
};

std::string notation(const json::value& value, std::string_view quote) {
  std::string out;
  if (value.is_string())
    return fmt::format("{0}{1}{0}", quote, std::string_view(value.get_string()));
  if (const json::array* list = value.if_array()) {
    for (const json::value& item : *list) out += (out.empty() ? "" : ",") + notation(item, quote);
    return "[" + out + "]";
  }
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, item] : *object)
      out += (out.empty() ? "" : ",") + std::string(key) + ":" + notation(item, quote);
    return "{" + out + "}";
  }
  return json::serialize(value);
}

class GemmaParser final : public Scanner {
 public:
  explicit GemmaParser(const Form& form) : form_(form), open_{form.open} {}

 private:
  enum class State { Text, Name, Arguments, Close };

  bool step(bool end) override {
    switch (state_) {
      case State::Text:
        if (say_until(open_, end) < 0) return false;
        state_ = State::Name;
        return true;
      case State::Name: {
        const size_t brace = buffer_.find('{');
        if (brace == std::string::npos) {
          if (end) buffer_.clear();
          return false;
        }
        const size_t begin = skip_space(buffer_);
        begin_call(std::string_view(buffer_).substr(begin, brace - begin));
        drop(brace + 1);
        first_ = true;
        state_ = State::Arguments;
        return true;
      }
      case State::Arguments: return argument(end);
      case State::Close:
        if (!drop_mark(form_.close, end)) return false;
        state_ = State::Text;
        return true;
    }
    return false;
  }

  bool argument(bool end) {
    const size_t begin = skip_space(buffer_);
    if (begin < buffer_.size() && buffer_[begin] == '}') {
      arguments(first_ ? "{}" : "}");
      drop(begin + 1);
      state_ = State::Close;
      return true;
    }
    const size_t colon = buffer_.find(':', begin);
    const size_t stop = colon == std::string::npos
                            ? colon
                            : value_end(std::string_view(buffer_).substr(colon + 1), form_.quote);
    if (stop == std::string::npos) {
      if (end) buffer_.clear();
      return false;
    }
    const std::string_view key = std::string_view(buffer_).substr(begin, colon - begin);
    arguments((first_ ? "{" : ", ") + quoted_json(key) + ": " +
              value_to_json(std::string_view(buffer_).substr(colon + 1, stop), form_.quote));
    first_ = false;
    const size_t next = colon + 1 + stop;
    drop(buffer_[next] == ',' ? next + 1 : next);
    return true;
  }

  const Form form_;
  std::vector<std::string> open_;
  State state_ = State::Text;
  bool first_ = true;
};

class GemmaCalls final : public Syntax {
 public:
  explicit GemmaCalls(Form form) : form_(std::move(form)) {}
  std::string_view name() const override { return form_.name; }
  std::vector<std::string> marks() const override {
    return {form_.open.substr(0, form_.open.find("call:")), form_.close, form_.quote};
  }
  std::string render(std::span<const Call> calls) const override {
    std::string out;
    for (const Call& call : calls) {
      std::string list;
      for (const auto& [name, value] : pairs_of(call))
        list += (list.empty() ? "" : ",") + name + ":" + notation(value, form_.quote);
      out += form_.open + call.name + "{" + list + "}" + form_.close;
    }
    return out;
  }
  std::unique_ptr<Parser> parser(std::span<const Function>) const override {
    return std::make_unique<GemmaParser>(form_);
  }
  std::string trigger(std::span<const Function>) const override { return literal(form_.open); }
  Result<CallParts> add(Envelope& e, std::span<const Function> functions, bool) const override {
    ArgumentStyle style;
    style.before = [](const Argument& one, bool first) {
      return (first ? "" : ",") + literal(one.name) + ":";
    };
    style.raw_text = true;
    style.text_open = style.text_close = style.never_in_text = literal(form_.quote);
    return add_calls(e, functions, style, literal(form_.open), "\\{",
                     "\\}" + literal(form_.close));
  }

 private:
  Form form_;
};

}  // namespace

const Syntax& function_gemma() {
  static const GemmaCalls s(
      {"function-gemma", "<start_function_call>call:", "<end_function_call>", "<escape>"});
  return s;
}

const Syntax& gemma4() {
  static const GemmaCalls s({"gemma-4", "<|tool_call>call:", "<tool_call|>", "<|\"|>"});
  return s;
}

}  // namespace verge::engine::tools
