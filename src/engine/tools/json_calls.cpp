#include "engine/tools/json_calls.h"

#include <algorithm>
#include <set>

#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

using grammar::Envelope;
using Kind = grammar::EnvelopePart::Kind;

constexpr std::string_view kFence = "```";

// Where the arguments of {"name": "f", "arguments": begin in `text`, and the name.
struct Head {
  Match match = Match::No;
  size_t end = 0;
  std::string name;
};

class HeadReader {
 public:
  explicit HeadReader(std::string_view text) : text_(text) {}

  // Behind a mark the grammar holds everything. `bare`, where there is none: what the trigger bars
  // from text and nothing else, or a text that merely looks like a call would be one unchecked.
  Head read(bool list, bool bare = false) {
    Head head;
    if (list && !take('[')) return failed(head);
    if (!take('{')) return failed(head);
    std::string key;
    bool typed = false;
    while (true) {
      if (!string(key) || !take(':')) return failed(head);
      if (key == "arguments" || key == "parameters") break;
      if (bare && (!head.name.empty() || (key != "name" && (key != "type" || typed)))) return {};
      std::string value;
      if (!string(value)) return failed(head);
      if (bare && key == "type" && value != "function") return {};
      typed |= key == "type";
      if (key == "name" || key == "tool_name") head.name = std::move(value);
      else if (key != "type" && key != "id" && key != "tool_call_id") return {};
      if (!take(',')) return failed(head);
    }
    if (head.name.empty()) return {};
    at_ = skip_space(text_, at_);
    if (at_ >= text_.size()) return more_ = true, failed(head);
    if (text_[at_] != '{') return {};
    head.match = Match::Yes;
    head.end = at_;
    return head;
  }
  bool fence() {
    at_ = skip_space(text_, at_);
    const std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(kFence)) return more_ = kFence.starts_with(rest), false;
    at_ += kFence.size();
    constexpr std::string_view json = "json";
    const std::string_view language = text_.substr(at_);
    if (language.starts_with(json)) at_ += json.size();
    else if (json.starts_with(language)) return more_ = true, false;
    return true;
  }
  bool more() const { return more_; }

 private:
  Head failed(Head& head) const {
    head.match = more_ ? Match::More : Match::No;
    return head;
  }
  bool take(char c) {
    at_ = skip_space(text_, at_);
    if (at_ >= text_.size()) return more_ = true, false;
    return text_[at_] == c ? (++at_, true) : false;
  }
  bool string(std::string& out) {
    if (!take('"')) return false;
    const size_t end = text_.find_first_of("\"\\\n", at_);
    if (end == std::string_view::npos) return more_ = true, false;
    if (text_[end] != '"') return false;
    out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool more_ = false;
};

class JsonCallParser final : public Scanner {
 public:
  JsonCallParser(const JsonCalls::Form& form, std::span<const Function> functions) : form_(form) {
    for (const Function& f : functions) names_.insert(f.name);
    if (!form_.open.empty()) open_.push_back(form_.open);
    if (!form_.optional_open.empty()) open_.push_back(form_.optional_open);
  }

 private:
  enum class State { Text, Head, Arguments, Rest, After, Close };

  bool step(bool end) override {
    switch (state_) {
      case State::Text: return text(end);
      case State::Head: return head(end);
      case State::Arguments: {
        const size_t n = value_.take(buffer_);
        arguments(std::string_view(buffer_).substr(0, n));
        drop(n);
        if (!value_.done()) return false;
        depth_ = 0;
        quoted_ = escaped_ = false;
        state_ = State::Rest;
        return true;
      }
      case State::Rest: return rest();
      case State::After: return after(end);
      case State::Close:
        if (!drop_mark(close_, end)) return false;
        state_ = State::Text;
        return true;
    }
    return false;
  }

  bool text(bool end) {
    if (buffer_.empty()) return false;
    if ((!said() || (bare_ && after_call())) && (form_.loose || form_.open.empty())) {
      const Match match = at_start();
      if (match == Match::Yes) return true;
      if (match == Match::More && !end) return false;
      // Behind a call nothing but calls comes, nor anything but a call behind a function's name.
      if (match == Match::More && (said() || named_)) {
        buffer_.clear();
        return false;
      }
    }
    const int found = say_until(open_, end);
    if (found < 0) return false;
    opened_ = open_[static_cast<size_t>(found)];
    bare_ = false;
    list_ = form_.list;
    close_ = form_.close;
    state_ = State::Head;
    return true;
  }

  // A call without a mark, of a function that there is.
  Match at_start() {
    bool more = false;
    named_ = false;
    for (bool fenced : {false, true}) {
      if (fenced && !form_.loose) continue;
      HeadReader reader(buffer_);
      if (fenced && !reader.fence()) {
        more |= reader.more();
        continue;
      }
      Head found = reader.read(false, true);
      if (found.match == Match::More) more = true, named_ |= names_.contains(found.name);
      if (found.match != Match::Yes || !names_.contains(found.name)) continue;
      opened_.clear();
      list_ = false;
      close_ = fenced ? kFence : std::string_view();
      bare_ = form_.loose;
      begin(found);
      return Match::Yes;
    }
    return more ? Match::More : Match::No;
  }

  bool head(bool end) {
    const Head found = HeadReader(buffer_).read(list_ && !inside_);
    if (found.match == Match::Yes) {
      begin(found);
      return true;
    }
    if (found.match == Match::More) {
      if (end) buffer_.clear();  // the answer was cut inside the call's name
      return false;
    }
    say(inside_ ? "" : opened_);
    inside_ = false;
    state_ = State::Text;
    return true;
  }

  void begin(const Head& found) {
    begin_call(found.name);
    drop(found.end);
    value_ = {};
    state_ = State::Arguments;
  }

  // What the object has behind its arguments.
  bool rest() {
    for (size_t i = 0; i < buffer_.size(); ++i) {
      const char c = buffer_[i];
      if (quoted_) {
        if (escaped_) escaped_ = false;
        else if (c == '\\') escaped_ = true;
        else if (c == '"') quoted_ = false;
      } else if (c == '"') {
        quoted_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if ((c == '}' || c == ']') && depth_-- == 0) {
        drop(i + 1);
        state_ = State::After;
        return true;
      }
    }
    buffer_.clear();
    return false;
  }

  bool after(bool end) {
    inside_ = false;
    if (!list_) {
      state_ = State::Close;
      return true;
    }
    const size_t at = skip_space(buffer_);
    if (at >= buffer_.size()) {
      if (end) buffer_.clear();
      return false;
    }
    inside_ = buffer_[at] == ',';
    if (inside_ || buffer_[at] == ']') drop(at + 1);
    state_ = inside_ ? State::Head : State::Close;
    return true;
  }

  const JsonCalls::Form form_;
  std::set<std::string> names_;
  std::vector<std::string> open_;
  State state_ = State::Text;
  std::string opened_, close_;
  bool list_ = false, inside_ = false;
  bool named_ = false;  // what may be a call has a function's name already
  bool bare_ = false;  // the last call had no mark, and another without one may follow
  JsonExtent value_;
  int depth_ = 0;
  bool quoted_ = false, escaped_ = false;
};

constexpr std::string_view kGap =
    "(?:\\n[ \\t]{0,8}| )?";  // white space that models write inside a call

std::string object_head(const JsonCalls::Form& form) {
  const std::string before = form.id_key.empty()
                                 ? std::string("\"type\": ?\"function\",")
                                 : fmt::format("\"{}\": ?\"[0-9]{{1,2}}\",", form.id_key);
  return fmt::format("\\{{{0}(?:{1}{0})?\"{2}\":{0}\"", kGap, before, form.name_key);
}

std::string any_name(std::span<const Function> functions) {
  std::string out;
  for (const Function& f : functions) out += (out.empty() ? "" : "|") + literal(f.name);
  return out;
}

}  // namespace

std::vector<std::string> JsonCalls::marks() const {
  std::vector<std::string> out;
  for (const std::string* mark : {&form_.open, &form_.close, &form_.optional_open})
    if (!mark->empty()) out.push_back(*mark);
  return out;
}

std::string JsonCalls::render(std::span<const Call> calls) const {
  std::string out;
  for (size_t i = 0; i < calls.size(); ++i) {
    const bool opens = i == 0 || !form_.list, closes = i + 1 == calls.size() || !form_.list;
    if (i > 0) out += form_.list ? ", " : "\n";
    if (opens) out += form_.open + std::string(form_.gap) + (form_.list ? "[" : "");
    out += "{";
    if (!form_.id_key.empty()) out += fmt::format(R"("{}": "{}", )", form_.id_key, i);
    out += fmt::format(R"("{}": {}, "{}": {}}})", form_.name_key, quoted_json(calls[i].name),
                       form_.arguments, calls[i].arguments);
    if (closes) out += (form_.list ? "]" : "") + std::string(form_.gap) + form_.close;
  }
  return out;
}

std::unique_ptr<Parser> JsonCalls::parser(std::span<const Function> functions) const {
  return std::make_unique<JsonCallParser>(form_, functions);
}

std::string JsonCalls::trigger(std::span<const Function> functions) const {
  const std::string bare = fmt::format(
      "^\\s*{}\\{{\\s*(?:\"type\"\\s*:\\s*\"function\"\\s*,\\s*)?\"name\"\\s*:\\s*\"(?:{})\"",
      form_.loose ? "(?:```(?:json)?\\s*)?" : "", any_name(functions));
  std::string out = form_.open.empty() ? bare : literal(form_.open);
  if (form_.loose) out += "|" + bare;
  if (!form_.optional_open.empty()) out += "|" + literal(form_.optional_open);
  return out;
}

Result<CallParts> JsonCalls::add(Envelope& e, std::span<const Function> functions,
                                 bool parallel) const {
  CallParts out;
  // One way to write calls: `open`, the object's head, one of the functions, `close`.
  const auto way = [&](const std::string& open, const std::string& close, bool list,
                       std::vector<uint32_t>& first, std::vector<uint32_t>& last) {
    // Cohere's has a line for each call.
    const std::string line(form_.id_key.empty() ? std::string_view() : kGap);
    const std::string head = object_head(form_);
    const uint32_t begin = e.add({Kind::Pattern, open + (list ? "\\[" : "") + line + head});
    const uint32_t end = e.add({Kind::Pattern, std::string(kGap) + "\\}"});
    const uint32_t tail = e.add({Kind::Pattern, line + (list ? "\\]" : "") + close});
    const bool more = list && parallel;
    const uint32_t comma =
        more ? e.add({Kind::Pattern, (line.empty() ? ", ?" : "," + line) + head}) : 0;
    for (const Function& f : functions) {
      const uint32_t name = e.add(
          {Kind::Pattern, fmt::format("{}\",{}\"{}\": ?", literal(f.name), kGap, form_.arguments)});
      const uint32_t object = e.add({Kind::Object, f.schema, "", "", f.at});
      e.parts[begin].next.push_back(name);
      if (more) e.parts[comma].next.push_back(name);
      e.parts[name].next = {object};
      e.parts[object].next = {end};
    }
    e.parts[end].next = {tail};
    if (more) e.parts[end].next.push_back(comma);
    first.push_back(begin);
    last.push_back(tail);
  };
  const std::string gap(kGap);
  if (form_.open.empty()) {
    const std::string mark =
        form_.optional_open.empty() ? "" : "(?:" + literal(form_.optional_open) + ")?";
    way(mark, "", false, out.first_at_start, out.last_at_start);
    return out;
  }
  way(literal(form_.open) + gap, form_.close.empty() ? "" : gap + literal(form_.close), form_.list,
      out.first, out.last);
  if (form_.loose) {
    way("\\n?", "", false, out.first_at_start, out.last_at_start);
    way("\\n?```(?:json)?\\n", gap + "```", false, out.first_at_start, out.last_at_start);
    if (!parallel) return out;
    const uint32_t between = e.add({Kind::Pattern, "\\n{0,2}"});
    e.parts[between].next = out.first_at_start;
    for (uint32_t part : out.last_at_start) e.parts[part].next.push_back(between);
  }
  return out;
}

}  // namespace verge::engine::tools
