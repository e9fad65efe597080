#include "engine/tools/tagged_calls.h"

#include <map>
#include <optional>
#include <set>

#include "engine/tools/arguments.h"
#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

using grammar::Envelope;
using Kind = grammar::EnvelopePart::Kind;

struct Form {
  std::string_view name;
  std::string open, name_end;       // around the name
  std::string key_open, key_close;  // around an argument's name, and what leads to its value
  std::string value_close;
  std::string close;      // behind the last argument
  std::string gap;        // the line break between marks, as the model writes it
  std::string value_gap;  // a line break around values that is not theirs
  std::vector<std::string> marks;
  std::string section_open = {}, section_close = {};  // around all calls of an answer
  bool typed = false;  // behind its name an argument says whether its value is a text
};

constexpr std::string_view kTyped = "\" string=\"";  // then true or false

// A value as JSON: raw where the schema has a string, JSON where it can be read as such.
std::string value_json(std::string_view text, bool is_text) {
  if (!is_text)
    if (Result<json::value> value = parse_json(text, 256)) return std::string(text);
  return quoted_json(text);
}

class TaggedParser final : public Scanner {
 public:
  TaggedParser(const Form& form, std::span<const Function> functions)
      : form_(form), open_{form.section_open.empty() ? form.open : form.section_open} {
    for (const Function& f : functions)
      for (const Argument& one : known_arguments(f))
        if (one.text) texts_[f.name].insert(one.name);
  }

 private:
  enum class State { Text, Section, Name, Arguments };

  bool step(bool end) override {
    if (state_ == State::Text) {
      if (say_until(open_, end) < 0) return false;
      state_ = form_.section_open.empty() ? State::Name : State::Section;
      return true;
    }
    if (state_ == State::Section) return section(end);
    if (state_ == State::Name) return name(end);
    return argument(end);
  }

  // Between the calls of a section; what is no call there is left out.
  bool section(bool end) {
    const size_t begin = skip_space(buffer_);
    const std::string_view rest = std::string_view(buffer_).substr(begin);
    for (const std::string* mark : {&form_.open, &form_.section_close}) {
      if (!rest.starts_with(*mark)) continue;
      state_ = mark == &form_.open ? State::Name : State::Text;
      drop(begin + mark->size());
      return true;
    }
    if (form_.open.starts_with(rest) || form_.section_close.starts_with(rest)) {
      if (end) buffer_.clear();
      return false;
    }
    drop(begin + 1);
    return true;
  }

  bool name(bool end) {
    size_t at = std::string::npos;
    for (const std::string* mark : {&form_.name_end, &form_.key_open, &form_.close})
      at = std::min(at, buffer_.find(*mark));
    if (at == std::string::npos) {
      if (end) buffer_.clear();
      return false;
    }
    std::string_view called = std::string_view(buffer_).substr(0, at);
    called.remove_prefix(skip_space(called));
    while (!called.empty() && is_space(called.back())) called.remove_suffix(1);
    name_ = called;
    begin_call(name_);
    drop(buffer_.compare(at, form_.name_end.size(), form_.name_end) == 0
             ? at + form_.name_end.size()
             : at);
    first_ = true;
    state_ = State::Arguments;
    return true;
  }

  bool argument(bool end) {
    const size_t begin = skip_space(buffer_);
    const std::string_view rest = std::string_view(buffer_).substr(begin);
    if (rest.starts_with(form_.close)) {
      arguments(first_ ? "{}" : "}");
      drop(begin + form_.close.size());
      state_ = form_.section_open.empty() ? State::Text : State::Section;
      return true;
    }
    if (!rest.starts_with(form_.key_open)) {
      if (form_.close.starts_with(rest) || form_.key_open.starts_with(rest)) {
        if (end) buffer_.clear();
        return false;
      }
      drop(begin + 1);  // nothing that the syntax has here
      return true;
    }
    const size_t key = begin + form_.key_open.size(), key_end = buffer_.find(form_.key_close, key);
    const size_t from = key_end == std::string::npos ? key_end : key_end + form_.key_close.size();
    const size_t value_end =
        from == std::string::npos
            ? from
            : buffer_.find(form_.value_gap + form_.value_close, std::max(from, searched_));
    if (value_end == std::string::npos) {
      const size_t tail = form_.value_gap.size() + form_.value_close.size();
      searched_ = buffer_.size() > tail ? buffer_.size() - tail : 0;
      if (end) buffer_.clear();
      return false;
    }
    std::string called = buffer_.substr(key, key_end - key);
    std::optional<bool> text;
    if (form_.typed) {
      const size_t type = called.find(kTyped);
      if (type != std::string::npos) text = called.compare(type + kTyped.size(), 4, "true") == 0;
      called.resize(std::min(called.find('"'), called.size()));
    }
    const std::string_view value = std::string_view(buffer_).substr(from, value_end - from);
    const auto texts = texts_.find(name_);
    arguments((first_ ? "{" : ", ") + quoted_json(called) + ": " +
              value_json(value, text.value_or(texts != texts_.end() && texts->second.contains(called))));
    first_ = false;
    searched_ = 0;
    drop(value_end + form_.value_gap.size() + form_.value_close.size());
    return true;
  }

  const Form form_;
  std::vector<std::string> open_;
  std::map<std::string, std::set<std::string>> texts_;  // arguments that are strings, by function
  State state_ = State::Text;
  std::string name_;
  bool first_ = true;
  size_t searched_ = 0;
};

class TaggedCalls final : public Syntax {
 public:
  explicit TaggedCalls(Form form) : form_(std::move(form)) {}
  std::string_view name() const override { return form_.name; }
  std::vector<std::string> marks() const override {
    return form_.marks;
  }
  std::string render(std::span<const Call> calls) const override {
    std::string out = form_.section_open;
    for (size_t i = 0; i < calls.size(); ++i) {
      out += (i || !form_.section_open.empty() ? "\n" : "") + form_.open + calls[i].name + form_.name_end + form_.gap;
      for (const auto& [name, value] : pairs_of(calls[i])) {
        out += form_.key_open + name;
        if (form_.typed) out += std::string(kTyped) + (value.is_string() ? "true" : "false");
        out += form_.key_close;
        out += value.is_string() ? std::string(value.get_string()) : json::serialize(value);
        out += form_.value_gap + form_.value_close + form_.gap;
      }
      out += form_.close;
    }
    return out + (form_.section_open.empty() ? "" : "\n") + form_.section_close;
  }
  std::unique_ptr<Parser> parser(std::span<const Function> functions) const override {
    return std::make_unique<TaggedParser>(form_, functions);
  }
  std::string trigger(std::span<const Function>) const override {
    return literal(form_.section_open.empty() ? form_.open : form_.section_open);
  }
  bool repeats() const override { return form_.section_open.empty(); }
  Result<CallParts> add(Envelope& e, std::span<const Function> functions,
                        bool parallel) const override {
    ArgumentStyle style;
    style.before = [this](const Argument& one, bool) {
      std::string type;
      if (form_.typed) type = std::string(kTyped) + (one.text ? "true" : "false");
      return literal(form_.key_open) + literal(one.name) + literal(type + form_.key_close);
    };
    style.raw_text = true;
    style.never_in_text = literal(form_.value_close);
    style.after = literal(form_.value_gap + form_.value_close) + "\\n?";
    VERGE_ASSIGN(calls, add_calls(e, functions, style, literal(form_.open),
                                  literal(form_.name_end) + "\\n?", literal(form_.close)));
    if (form_.section_open.empty()) return calls;
    const uint32_t begin = e.add({Kind::Pattern, literal(form_.section_open) + "\\n"});
    const uint32_t end = e.add({Kind::Pattern, "\\n" + literal(form_.section_close)});
    e.parts[begin].next = calls.first;
    const uint32_t again = parallel ? e.add({Kind::Pattern, "\\n"}) : 0;
    if (parallel) e.parts[again].next = calls.first;
    for (uint32_t last : calls.last) {
      e.parts[last].next.push_back(end);
      if (parallel) e.parts[last].next.push_back(again);
    }
    calls.first = {begin};
    calls.last = {end};
    return calls;
  }

 private:
  Form form_;
};

}  // namespace

const Syntax& qwen_xml() {
  static const TaggedCalls s({"qwen-xml", "<tool_call>\n<function=", ">", "<parameter=", ">\n",
                              "</parameter>", "</function>\n</tool_call>", "\n", "\n",
                              {"<tool_call>", "</tool_call>"}});
  return s;
}

const Syntax& glm() {
  static const TaggedCalls s({"glm", "<tool_call>", "\n", "<arg_key>", "</arg_key>\n<arg_value>",
                              "</arg_value>", "</tool_call>", "\n", "",
                              {"<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>",
                               "<arg_value>", "</arg_value>"}});
  return s;
}

const Syntax& minimax() {
  static const TaggedCalls s({"minimax", "<invoke name=\"", "\">", "<parameter name=\"", "\">",
                              "</parameter>", "</invoke>", "\n", "",
                              {"<minimax:tool_call>", "</minimax:tool_call>"},
                              "<minimax:tool_call>", "</minimax:tool_call>"});
  return s;
}

namespace {

TaggedCalls dsml(std::string_view name, const std::string& section) {
  const std::string mark = "｜DSML｜";
  return TaggedCalls({name, "<" + mark + "invoke name=\"", "\">", "<" + mark + "parameter name=\"",
                      "\">", "</" + mark + "parameter>", "</" + mark + "invoke>", "\n", "", {mark},
                      "<" + mark + section + ">", "</" + mark + section + ">", true});
}

}  // namespace

const Syntax& deepseek_32() {
  static const TaggedCalls s = dsml("deepseek-3.2", "function_calls");
  return s;
}
const Syntax& deepseek_4() {
  static const TaggedCalls s = dsml("deepseek-4", "tool_calls");
  return s;
}

}  // namespace verge::engine::tools
