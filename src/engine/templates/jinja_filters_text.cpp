#include "engine/templates/jinja_filter_parts.h"
#include "engine/templates/jinja_format.h"
#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// Filters that make text.
namespace verge::engine::jinja {
namespace {

std::string url_quote(std::string_view s, bool query) {
  std::string out;
  for (char c : s) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("_.-~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && !query)) out.push_back(c);
    else if (c == ' ' && query) out.push_back('+');
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string title_words(std::string_view rest) {
  std::string out;
  auto splits = [](char32_t c) {
    return text::is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                                 std::string_view::npos);
  };
  while (!rest.empty()) {
    size_t pos = 0;
    bool separator = splits(text::next(rest, pos));
    for (size_t p = pos; p < rest.size() && splits(text::next(rest, p)) == separator;) pos = p;
    std::string_view part = rest.substr(0, pos);
    size_t first = 0;
    text::next(part, first);
    out += text::upper(part.substr(0, first)) + text::lower(part.substr(first));
    rest.remove_prefix(pos);
  }
  return out;
}

}  // namespace

Result<Value> soft_str(Runtime& rt, const Value& v) {
  if (v.is(Kind::String)) return v;
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(std::move(s));
}

Result<Value> hard_str(Runtime& rt, const Value& v) {
  if (v.is(Kind::String) && !v.markup()) return v;
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(std::move(s));
}

Result<Value> by_method(Runtime& rt, const Value& v, std::string_view name, std::vector<Value> positional) {
  VERGE_ASSIGN(s, soft_str(rt, v));
  Args args{std::move(positional), {}};
  return rt.call_method(s, name, args);
}

Result<Value> f_upper(Runtime& rt, const Value& v, const Args& args) { VERGE_TRY(args.bind("upper", {}, 0)); return by_method(rt, v, "upper"); }
Result<Value> f_lower(Runtime& rt, const Value& v, const Args& args) { VERGE_TRY(args.bind("lower", {}, 0)); return by_method(rt, v, "lower"); }
Result<Value> f_capitalize(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("capitalize", {}, 0));
  return by_method(rt, v, "capitalize");
}

Result<Value> f_trim(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("trim", {"chars"}, 0));
  return by_method(rt, v, "strip", {a[0].missing() ? Value::none() : a[0]});
}

// Upper case after white space, brackets and hyphens; unlike str.title, apostrophes do not count.
Result<Value> f_title(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("title", {}, 0));
  VERGE_ASSIGN(s, soft_str(rt, v));
  return rt.string(with_origin(s, title_words(s.text()), title_words), s.markup());
}

Result<Value> f_replace(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("replace", {"old", "new", "count"}, 2));
  VERGE_ASSIGN(s, hard_str(rt, v));
  VERGE_ASSIGN(from, hard_str(rt, a[0]));
  VERGE_ASSIGN(to, hard_str(rt, a[1]));
  return by_method(rt, s, "replace", {from, to, given(a[2]) ? a[2] : Value::integer(-1)});
}

Result<Value> f_indent(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("indent", {"width", "first", "blank"}, 0));
  if (v.undefined()) return undefined_error(v);
  if (!v.is(Kind::String)) return type_error(fmt::format("unsupported operand type(s) for +=: '{}' and 'str'", type_name(v)));
  ForeignText pad(std::string(4, ' '));
  if (a[0].is(Kind::String)) {
    VERGE_ASSIGN(given, rt.str(a[0]));
    pad = std::move(given);
  } else if (!a[0].missing()) {
    VERGE_ASSIGN(width, integer_argument(a[0], "width"));
    if (width > 0) VERGE_TRY(rt.reserve(static_cast<size_t>(width)));
    pad.text.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  bool first = truth(a[1]), blank = truth(a[2]);
  std::string source = std::string(v.text()) + "\n";
  ForeignText out;
  if (first) out += pad;
  auto lines = text::splitlines(source, false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\n";
    if (i > 0 && (blank || !lines[i].empty())) out += pad;
    out.append(lines[i], v.foreign(), static_cast<size_t>(lines[i].data() - source.data()));
    VERGE_TRY(rt.spend());
    if (out.size() > limits::kTemplateOutputBytes) break;
  }
  VERGE_TRY(rt.reserve(out.size()));
  return rt.string(std::move(out), v.markup());
}

Result<Value> f_center(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("center", {"width"}, 0));
  return by_method(rt, v, "center", {a[0].missing() ? Value::integer(80) : a[0]});
}

Result<Value> f_truncate(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("truncate", {"length", "killwords", "end", "leeway"}, 0));
  VERGE_ASSIGN(length, integer_argument(a[0].missing() ? Value::integer(255) : a[0], "length"));
  VERGE_ASSIGN(leeway, integer_argument(given(a[3]) ? a[3] : Value::integer(5), "leeway"));
  VERGE_ASSIGN(end, soft_str(rt, a[2].missing() ? rt.string("...") : a[2]));
  if (!v.is(Kind::String)) return type_error(fmt::format("object of type '{}' has no len()", type_name(v)));
  int64_t end_length = static_cast<int64_t>(text::length(end.text()));
  if (length < end_length) return type_error(fmt::format("expected length >= {}, got {}", end_length, length));
  if (leeway < 0) return type_error(fmt::format("expected leeway >= 0, got {}", leeway));
  if (static_cast<Int>(text::length(v.text())) <= static_cast<Int>(length) + leeway) return v;
  std::string_view cut = v.text().substr(0, text::offset(v.text(), static_cast<size_t>(length - end_length)));
  if (!truth(a[1])) cut = cut.substr(0, cut.rfind(' '));
  ForeignText out;
  out.append(cut, v.foreign(), 0);
  out.append(end.text(), end.foreign(), 0);
  return rt.string(std::move(out), v.markup());
}

Result<Value> f_wordcount(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("wordcount", {}, 0));
  VERGE_ASSIGN(s, soft_str(rt, v));
  Int n = 0;
  bool inside = false;
  for (size_t pos = 0; pos < s.text().size();) {
    char32_t c = text::next(s.text(), pos);
    bool word = c == '_' || text::is_alpha(c) || text::is_numeric(c);
    if (word && !inside) ++n;
    inside = word;
  }
  return Value::integer(n);
}

Result<Value> f_string(Runtime& rt, const Value& v, const Args& args) { VERGE_TRY(args.bind("string", {}, 0)); return soft_str(rt, v); }

Result<Value> f_safe(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("safe", {}, 0));
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(std::move(s), true);
}

Result<Value> f_escape(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("escape", {}, 0));
  if (v.is(Kind::String) && v.markup()) return v;
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(escaped(s, true), true);
}

Result<Value> f_forceescape(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("forceescape", {}, 0));
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(escaped(s, true), true);
}

Result<Value> f_format(Runtime& rt, const Value& v, const Args& args) {
  if (!args.positional.empty() && !args.named.empty()) return type_error("can't handle positional and keyword arguments at the same time");
  VERGE_ASSIGN(s, soft_str(rt, v));
  if (args.named.empty()) return percent_format(rt, s, rt.tuple(args.positional));
  auto d = rt.new_dict();
  for (const auto& [name, value] : args.named) d->set(rt.string(ForeignText(name, true)), value);
  return percent_format(rt, s, rt.dict(std::move(d)));
}

Result<Value> f_urlencode(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("urlencode", {}, 0));
  if (v.is(Kind::String) || !is_iterable(v)) {
    VERGE_ASSIGN(s, rt.str(v));
    return rt.string(ForeignText(url_quote(s.text, false), !s.foreign.empty()));
  }
  ForeignText out;
  auto append = [&](const Value& key, const Value& value) -> Result<void> {
    VERGE_ASSIGN(k, rt.str(key));
    VERGE_ASSIGN(s, rt.str(value));
    if (out.size() > 0) out += "&";
    out += ForeignText(url_quote(k.text, true) + "=" + url_quote(s.text, true),
                       !k.foreign.empty() || !s.foreign.empty());
    return rt.reserve(out.size());
  };
  if (v.is(Kind::Dict)) {
    for (const auto& [key, value] : v.as<DictObject>().entries) VERGE_TRY(append(key, value));
  } else {
    VERGE_ASSIGN(items, rt.iterate(v));
    for (const Value& item : items) {
      VERGE_ASSIGN(pair, rt.iterate(item));
      if (pair.count != 2) return type_error("urlencode needs pairs");
      VERGE_TRY(append(pair.first[0], pair.first[1]));
    }
  }
  return rt.string(std::move(out));
}

Result<Value> f_xmlattr(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("xmlattr", {"autospace"}, 0));
  if (v.undefined()) return undefined_error(v);
  if (!v.is(Kind::Dict)) return type_error(fmt::format("'{}' object has no attribute 'items'", type_name(v)));
  ForeignText out;
  for (const auto& [key, value] : v.as<DictObject>().entries) {
    if (value.is(Kind::None) || value.undefined()) continue;
    VERGE_ASSIGN(k, rt.str(key));
    if (k.text.find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      return type_error("Invalid character in attribute name: " + text::repr(k.text));
    }
    VERGE_ASSIGN(s, rt.str(value));
    bool safe = value.is(Kind::String) && value.markup();
    if (out.size() > 0) out += " ";
    out += escaped(k, true);
    out += "=\"";
    out += escaped(s, !safe);
    out += "\"";
  }
  bool space = a[0].missing() || truth(a[0]);
  ForeignText spaced(space && out.size() > 0 ? " " : "");
  spaced += out;
  return rt.string(std::move(spaced));
}

Result<Value> f_filesizeformat(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("filesizeformat", {"binary"}, 0));
  if (!v.is_number()) return type_error("filesizeformat needs a number");
  bool binary = truth(a[0]);
  double bytes = v.real(), base = binary ? 1024 : 1000;
  if (bytes == 1) return rt.string("1 Byte");
  if (bytes < base) return rt.string(fmt::format("{} Bytes", static_cast<int64_t>(bytes)));
  static constexpr const char* kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  static constexpr const char* kBinary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  double unit = base;
  for (int i = 0; i < 8; ++i) {
    unit *= base;
    if (bytes < unit || i == 7) return rt.string(fmt::format("{:.1f} {}", base * bytes / unit, (binary ? kBinary : kDecimal)[i]));
  }
  return Value::none();
}

Result<Value> f_tojson(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0));
  JsonStyle style;
  style.ensure_ascii = truth(a[0]);
  style.sort_keys = truth(a[3]);
  if (given(a[1])) {
    style.indented = true;
    style.item_separator = ",";
    if (a[1].is(Kind::String)) {
      style.indent = a[1].text();
    } else {
      VERGE_ASSIGN(width, integer_argument(a[1], "indent"));
      if (width > static_cast<int64_t>(limits::kTemplateBytesPerStep)) return type_error("indent too large");
      style.indent.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
    }
  }
  if (given(a[2])) {
    VERGE_ASSIGN(parts, rt.iterate(a[2]));
    if (parts.count != 2 || !parts.first[0].is(Kind::String) || !parts.first[1].is(Kind::String)) return type_error("separators must be two strings");
    style.item_separator = parts.first[0].text();
    style.key_separator = parts.first[1].text();
  }
  for (const std::string* s : {&style.indent, &style.item_separator, &style.key_separator}) {
    if (s->size() > limits::kTemplateBytesPerStep) return type_error("separator too long");
  }
  VERGE_ASSIGN(out, rt.to_json(v, style));
  VERGE_TRY(rt.reserve(out.size()));
  return rt.string(std::move(out));
}

}  // namespace verge::engine::jinja
