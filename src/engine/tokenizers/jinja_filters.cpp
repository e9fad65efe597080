#include "engine/tokenizers/jinja_filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/tokenizers/jinja_format.h"
#include "engine/tokenizers/jinja_text.h"
#include "support/limits.h"

// Design: one small function a filter, in one sorted table; their behaviour, parameter names and
// defaults are those of jinja2/filters.py, with transformers' own tojson. Filters that give a
// generator there (map, select …) give an Iterator here: it is filled at once, but can be walked only
// once and has no length, as templates may find out.
namespace verge::engine::jinja {
namespace {

Result<Value> soft_str(Runtime& rt, const Value& v) {
  if (v.is(Kind::String)) return v;
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(std::move(s));
}

// str(): as soft_str, but a safe string loses its mark.
Result<Value> hard_str(Runtime& rt, const Value& v) {
  if (v.is(Kind::String) && !v.markup()) return v;
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(std::move(s));
}

bool given(const Value& v) { return !v.missing() && !v.is(Kind::None); }

// Calls a str method of `name` on the value's text.
Result<Value> by_method(Runtime& rt, const Value& v, std::string_view name, std::vector<Value> positional = {}) {
  VERGE_ASSIGN(s, soft_str(rt, v));
  Args args{std::move(positional), {}};
  return rt.call_method(s, name, args);
}

Result<Value> lowered(Runtime& rt, const Value& v) { return v.is(Kind::String) ? by_method(rt, v, "lower") : Result<Value>(v); }

// "a.b.0" of an item, step by step; `otherwise` stands in for what is undefined.
Result<Value> get_attribute(Runtime& rt, const Value& item, const Value& path, const Value& otherwise = Value()) {
  if (!given(path)) return item;
  std::vector<Value> parts;
  if (path.is(Kind::String)) {
    for (std::string_view part : text::split(path.text(), ".", -1)) {
      int64_t n = 0;
      bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
      if (digits && std::from_chars(part.data(), part.data() + part.size(), n).ec != std::errc()) return type_error("integer too large");
      parts.push_back(digits ? Value::integer(n) : rt.string(part));
    }
  } else {
    parts.push_back(path);
  }
  Value v = item;
  for (const Value& part : parts) {
    VERGE_ASSIGN(next, rt.item(v, part));
    v = next.undefined() && given(otherwise) ? otherwise : std::move(next);
  }
  return v;
}

// ---- text ----

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
  std::string out;
  std::string_view rest = s.text();
  auto splits = [](char32_t c) { return text::is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos); };
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
  return rt.string(std::move(out), s.markup());
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
  std::string pad(4, ' ');
  if (a[0].is(Kind::String)) {
    pad = a[0].text();
  } else if (!a[0].missing()) {
    VERGE_ASSIGN(width, integer_argument(a[0], "width"));
    if (width > 0) VERGE_TRY(rt.reserve(static_cast<size_t>(width)));
    pad.assign(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  bool first = truth(a[1]), blank = truth(a[2]);
  std::string source = std::string(v.text()) + "\n";
  std::string out = first ? pad : "";
  auto lines = text::splitlines(source, false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\n";
    if (i > 0 && (blank || !lines[i].empty())) out += pad;
    out += lines[i];
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
  return rt.string(std::string(cut) + std::string(end.text()), v.markup());
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
  return rt.string(text::html_escape(s), true);
}

Result<Value> f_forceescape(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("forceescape", {}, 0));
  VERGE_ASSIGN(s, rt.str(v));
  return rt.string(text::html_escape(s), true);
}

Result<Value> f_format(Runtime& rt, const Value& v, const Args& args) {
  if (!args.positional.empty() && !args.named.empty()) return type_error("can't handle positional and keyword arguments at the same time");
  VERGE_ASSIGN(s, soft_str(rt, v));
  if (args.named.empty()) return percent_format(rt, s, rt.tuple(args.positional));
  auto d = rt.new_dict();
  for (const auto& [name, value] : args.named) d->set(rt.string(name), value);
  return percent_format(rt, s, rt.dict(std::move(d)));
}

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

Result<Value> f_urlencode(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("urlencode", {}, 0));
  if (v.is(Kind::String) || !is_iterable(v)) {
    VERGE_ASSIGN(s, rt.str(v));
    return rt.string(url_quote(s, false));
  }
  std::string out;
  auto append = [&](const Value& key, const Value& value) -> Result<void> {
    VERGE_ASSIGN(k, rt.str(key));
    VERGE_ASSIGN(s, rt.str(value));
    if (!out.empty()) out += "&";
    out += url_quote(k, true) + "=" + url_quote(s, true);
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
  std::string out;
  for (const auto& [key, value] : v.as<DictObject>().entries) {
    if (value.is(Kind::None) || value.undefined()) continue;
    VERGE_ASSIGN(k, rt.str(key));
    if (k.find_first_of(" \t\n\r\f\v/>=") != std::string::npos) return type_error("Invalid character in attribute name: " + text::repr(k));
    VERGE_ASSIGN(s, rt.str(value));
    bool safe = value.is(Kind::String) && value.markup();
    if (!out.empty()) out += " ";
    out += text::html_escape(k) + "=\"" + (safe ? s : text::html_escape(s)) + "\"";
  }
  bool space = a[0].missing() || truth(a[0]);
  return rt.string(space && !out.empty() ? " " + out : out);
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

// ---- numbers ----

Result<Value> f_abs(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("abs", {}, 0));
  if (!v.is_number()) return v.undefined() ? undefined_error(v) : type_error(fmt::format("bad operand type for abs(): '{}'", type_name(v)));
  return v.real() < 0 ? rt.negate(v, false) : rt.negate(v, true);
}

std::optional<double> parse_real(std::string_view s) {
  std::string digits;
  s = text::strip(s, std::nullopt, text::Both);
  for (size_t i = 0; i < s.size(); ++i) {
    bool between = i > 0 && i + 1 < s.size() && s[i - 1] >= '0' && s[i - 1] <= '9' && s[i + 1] >= '0' && s[i + 1] <= '9';
    if (s[i] == '_' && between) continue;
    digits.push_back(s[i]);
  }
  std::string_view d = digits;
  bool negative = false;
  if (!d.empty() && (d[0] == '+' || d[0] == '-')) {
    negative = d[0] == '-';
    d.remove_prefix(1);
  }
  if (d.empty() || d[0] == '+' || d[0] == '-') return std::nullopt;
  std::string word = text::lower(d);
  double value = 0;
  if (word == "inf" || word == "infinity") value = HUGE_VAL;
  else if (word == "nan") value = NAN;
  else {
    if (d.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
    auto r = std::from_chars(d.data(), d.data() + d.size(), value);
    if (r.ptr != d.data() + d.size() || r.ec == std::errc::invalid_argument) return std::nullopt;
    if (r.ec == std::errc::result_out_of_range) value = std::strtod(std::string(d).c_str(), nullptr);
  }
  return negative ? -value : value;
}

std::optional<Int> parse_integer(std::string_view s, int64_t base) {
  s = text::strip(s, std::nullopt, text::Both);
  bool negative = false;
  if (!s.empty() && (s[0] == '+' || s[0] == '-')) {
    negative = s[0] == '-';
    s.remove_prefix(1);
  }
  if (s.size() > 2 && s[0] == '0') {
    char mark = static_cast<char>(s[1] | 0x20);
    int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked && (base == marked || base == 0)) {
      base = marked;
      s.remove_prefix(2);
      if (s[0] == '_') s.remove_prefix(1);
    }
  }
  if (base == 0) base = 10;
  Int value = 0;
  bool any = false, underscore = true;
  for (char c : s) {
    if (c == '_') {
      if (underscore) return std::nullopt;
      underscore = true;
      continue;
    }
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10 : 99;
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
    if (value >= static_cast<Int>(1) << 100) return std::nullopt;
    any = true;
    underscore = false;
  }
  if (!any || underscore) return std::nullopt;
  return negative ? -value : value;
}

Result<Value> f_int(Runtime&, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("int", {"default", "base"}, 0));
  Value otherwise = a[0].missing() ? Value::integer(0) : a[0];
  VERGE_ASSIGN(base, integer_argument(a[1].missing() ? Value::integer(10) : a[1], "base"));
  if (v.undefined()) return undefined_error(v);
  std::optional<double> real;
  if (v.is_integral()) return Value::integer(v.integer());
  if (v.is(Kind::Float)) real = v.real();
  if (v.is(Kind::String)) {
    if (base != 0 && (base < 2 || base > 36)) return otherwise;
    if (auto i = parse_integer(v.text(), base)) return Value::integer(*i);
    real = parse_real(v.text());
  }
  if (!real || !std::isfinite(*real)) return otherwise;
  if (std::fabs(*real) > 1e30) return type_error("integer too large");
  return Value::integer(static_cast<Int>(*real));
}

Result<Value> f_float(Runtime&, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("float", {"default"}, 0));
  if (v.undefined()) return undefined_error(v);
  if (v.is_number()) return Value::real(v.real());
  if (v.is(Kind::String)) {
    if (auto d = parse_real(v.text())) return Value::real(*d);
  }
  return a[0].missing() ? Value::real(0) : a[0];
}

Result<Value> f_round(Runtime&, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("round", {"precision", "method"}, 0));
  VERGE_ASSIGN(precision, integer_argument(a[0].missing() ? Value::integer(0) : a[0], "precision"));
  std::string_view method = a[1].missing() ? "common" : a[1].is(Kind::String) ? a[1].text() : "";
  if (method != "common" && method != "ceil" && method != "floor") return type_error("method must be common, ceil or floor");
  if (!v.is_number()) return v.undefined() ? undefined_error(v) : type_error(fmt::format("type {} doesn't define __round__ method", type_name(v)));
  if (precision > 400 || precision < -400) return type_error("precision too large");
  if (method != "common") {
    double scale = std::pow(10.0, static_cast<double>(precision));
    double scaled = v.real() * scale;
    return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (v.is_integral()) {
    if (precision >= 0) return Value::integer(v.integer());
    Int unit = 1;
    for (int64_t i = precision; i < 0; ++i) {
      unit *= 10;
      if (unit > static_cast<Int>(1) << 100) return Value::integer(0);
    }
    Int down = v.integer() / unit * unit;
    if (down > v.integer()) down -= unit;
    Int rest = v.integer() - down;
    bool up = rest * 2 > unit || (rest * 2 == unit && (down / unit) % 2 != 0);
    return Value::integer(up ? down + unit : down);
  }
  double d = v.real();
  if (!std::isfinite(d)) return Value::real(d);
  if (precision < 0) {
    double unit = std::pow(10.0, static_cast<double>(-precision));
    return Value::real(std::nearbyint(d / unit) * unit);
  }
  // printf rounds the exact binary value correctly, half to even: what Python's round does.
  return Value::real(std::strtod(fmt::format("{:.{}f}", d, precision).c_str(), nullptr));
}

Result<Value> f_sum(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("sum", {"attribute", "start"}, 0));
  Value total = a[1].missing() ? Value::integer(0) : a[1];
  if (total.is(Kind::String)) return type_error("sum() can't sum strings [use ''.join(seq) instead]");
  VERGE_ASSIGN(items, rt.iterate(v));
  for (const Value& item : items) {
    VERGE_ASSIGN(part, get_attribute(rt, item, a[0]));
    VERGE_ASSIGN(next, rt.binary(Operator::Add, total, part));
    total = std::move(next);
  }
  return total;
}

// ---- sequences ----

Result<Value> f_length(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("length", {}, 0));
  if (v.is(Kind::Loop)) return rt.attribute(v, "length");
  auto n = size_of(v);
  if (!n) return type_error(fmt::format("object of type '{}' has no len()", type_name(v)));
  return Value::integer(static_cast<Int>(*n));
}

Result<Value> f_list(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("list", {}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  return rt.list(std::vector<Value>(items.begin(), items.end()));
}

Result<Value> f_first(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("first", {}, 0));
  if (v.is(Kind::Iterator)) {
    auto& it = v.mutable_as<IteratorObject>();
    return it.next < it.items.size() ? it.items[it.next++] : rt.undefined("No first item, sequence was empty.");
  }
  VERGE_ASSIGN(items, rt.iterate(v));
  return items.count > 0 ? items.first[0] : rt.undefined("No first item, sequence was empty.");
}

Result<Value> f_last(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("last", {}, 0));
  if (v.is(Kind::Iterator)) return type_error(fmt::format("'{}' object is not reversible", type_name(v)));
  VERGE_ASSIGN(items, rt.iterate(v));
  return items.count > 0 ? items.first[items.count - 1] : rt.undefined("No last item, sequence was empty.");
}

Result<Value> f_reverse(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("reverse", {}, 0));
  if (!is_iterable(v)) return type_error("argument must be iterable");
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out(items.begin(), items.end());
  std::reverse(out.begin(), out.end());
  if (v.is(Kind::String)) {
    std::string s;
    for (const Value& c : out) s += c.text();
    return rt.string(std::move(s), v.markup());
  }
  return v.is(Kind::Iterator) ? rt.list(std::move(out)) : rt.iterator(std::move(out), "list_reverseiterator");
}

Result<Value> f_join(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("join", {"d", "attribute"}, 0));
  std::string separator, out;
  if (!a[0].missing()) VERGE_TRY(rt.append_str(separator, a[0]));
  VERGE_ASSIGN(items, rt.iterate(v));
  size_t i = 0;
  for (const Value& item : items) {
    if (i++ > 0) out += separator;
    VERGE_ASSIGN(part, get_attribute(rt, item, a[1]));
    VERGE_TRY(rt.spend());
    VERGE_TRY(rt.append_str(out, part));
  }
  VERGE_TRY(rt.reserve(out.size()));
  return rt.string(std::move(out));
}

Result<Value> f_default(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("default", {"default_value", "boolean"}, 0));
  if (v.undefined() || (truth(a[1]) && !truth(v))) return a[0].missing() ? rt.string("") : a[0];
  return v;
}

Result<Value> f_items(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("items", {}, 0));
  std::vector<Value> out;
  if (!v.undefined()) {
    if (!v.is(Kind::Dict)) return type_error("Can only get item pairs from a mapping.");
    for (const auto& [key, value] : v.as<DictObject>().entries) out.push_back(rt.tuple({key, value}));
  }
  return rt.iterator(std::move(out));
}

Result<Value> f_dictsort(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("dictsort", {"case_sensitive", "by", "reverse"}, 0));
  std::string_view by = a[1].missing() ? "key" : a[1].is(Kind::String) ? a[1].text() : "";
  if (by != "key" && by != "value") return type_error("You can only sort by either \"key\" or \"value\"");
  if (v.undefined()) return undefined_error(v);
  if (!v.is(Kind::Dict)) return type_error(fmt::format("'{}' object has no attribute 'items'", type_name(v)));
  std::vector<Value> pairs, keys;
  for (const auto& [key, value] : v.as<DictObject>().entries) {
    pairs.push_back(rt.tuple({key, value}));
    const Value& sorted_by = by == "key" ? key : value;
    VERGE_ASSIGN(k, truth(a[0]) ? Result<Value>(sorted_by) : lowered(rt, sorted_by));
    keys.push_back(std::move(k));
  }
  VERGE_TRY(rt.stable_sort(pairs, keys, truth(a[2])));
  return rt.list(std::move(pairs));
}

// The key that sort and its like compare by: the attribute, in lower case unless told otherwise.
Result<Value> sort_key(Runtime& rt, const Value& item, const Value& attribute, bool case_sensitive, const Value& otherwise = Value()) {
  VERGE_ASSIGN(v, get_attribute(rt, item, attribute, otherwise));
  return case_sensitive ? Result<Value>(std::move(v)) : lowered(rt, v);
}

Result<Value> f_sort(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("sort", {"reverse", "case_sensitive", "attribute"}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> attributes;
  if (a[2].is(Kind::String)) {
    for (std::string_view part : text::split(a[2].text(), ",", -1)) attributes.push_back(rt.string(part));
  } else {
    attributes.push_back(a[2]);
  }
  std::vector<Value> out(items.begin(), items.end()), keys;
  for (const Value& item : out) {
    std::vector<Value> key;
    for (const Value& attribute : attributes) {
      VERGE_ASSIGN(part, sort_key(rt, item, attribute, truth(a[1])));
      key.push_back(std::move(part));
    }
    keys.push_back(rt.list(std::move(key)));
  }
  VERGE_TRY(rt.stable_sort(out, keys, truth(a[0])));
  return rt.list(std::move(out));
}

Result<Value> f_unique(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("unique", {"case_sensitive", "attribute"}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out;
  auto seen = rt.new_dict();
  for (const Value& item : items) {
    VERGE_ASSIGN(key, sort_key(rt, item, a[1], truth(a[0])));
    if (!hashable(key)) return type_error(fmt::format("unhashable type: '{}'", type_name(key)));
    VERGE_TRY(rt.spend(key.is(Kind::String) ? 1 : 1 + seen->entries.size()));
    if (seen->find(key)) continue;
    seen->set(key, Value::none());
    out.push_back(item);
  }
  return rt.iterator(std::move(out));
}

template <bool largest>
Result<Value> f_extreme(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind(largest ? "max" : "min", {"case_sensitive", "attribute"}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  if (items.count == 0) return rt.undefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  VERGE_ASSIGN(best_key, sort_key(rt, items.first[0], a[1], truth(a[0])));
  for (size_t i = 1; i < items.count; ++i) {
    VERGE_ASSIGN(key, sort_key(rt, items.first[i], a[1], truth(a[0])));
    VERGE_ASSIGN(better, largest ? rt.less(best_key, key) : rt.less(key, best_key));
    if (!better) continue;
    best = i;
    best_key = std::move(key);
  }
  return items.first[best];
}

Result<Value> f_groupby(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("groupby", {"attribute", "default", "case_sensitive"}, 1));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> sorted(items.begin(), items.end()), keys;
  for (const Value& item : sorted) {
    VERGE_ASSIGN(key, sort_key(rt, item, a[0], truth(a[2]), a[1]));
    keys.push_back(std::move(key));
  }
  VERGE_TRY(rt.stable_sort(sorted, keys, false));
  std::vector<Value> groups, group;
  Value group_key, shown;
  auto close = [&] {
    if (!group.empty()) groups.push_back(rt.tuple({shown, rt.list(std::move(group))}, "group"));
    group.clear();
  };
  for (const Value& item : sorted) {
    VERGE_ASSIGN(key, sort_key(rt, item, a[0], truth(a[2]), a[1]));
    bool same = false;
    if (!group.empty()) {
      VERGE_ASSIGN(equal, rt.equal(key, group_key));
      same = equal;
    }
    if (!same) {
      close();
      group_key = key;
      VERGE_ASSIGN(own, get_attribute(rt, item, a[0], a[1]));
      shown = std::move(own);
    }
    group.push_back(item);
  }
  close();
  return rt.list(std::move(groups));
}

Result<Value> f_batch(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("batch", {"linecount", "fill_with"}, 1));
  VERGE_ASSIGN(count, integer_argument(a[0], "linecount"));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out, line;
  for (const Value& item : items) {
    if (static_cast<int64_t>(line.size()) == count) {
      out.push_back(rt.list(std::move(line)));
      line.clear();
    }
    line.push_back(item);
  }
  if (!line.empty()) {
    if (given(a[1]) && static_cast<int64_t>(line.size()) < count) {
      if (count > static_cast<int64_t>(limits::kTemplateRange)) return type_error("batch too large");
      line.resize(static_cast<size_t>(count), a[1]);
    }
    out.push_back(rt.list(std::move(line)));
  }
  return rt.iterator(std::move(out));
}

Result<Value> f_slice(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("slice", {"slices", "fill_with"}, 1));
  VERGE_ASSIGN(slices, integer_argument(a[0], "slices"));
  if (slices == 0) return type_error("integer division or modulo by zero");
  if (slices > limits::kTemplateRange) return type_error("too many slices");
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out;
  int64_t n = static_cast<int64_t>(items.count), offset = 0;
  for (int64_t i = 0; i < slices; ++i) {
    int64_t start = offset + i * (n / slices);
    if (i < n % slices) ++offset;
    int64_t end = offset + (i + 1) * (n / slices);
    std::vector<Value> part(items.begin() + start, items.begin() + end);
    if (given(a[1]) && i >= n % slices) part.push_back(a[1]);
    out.push_back(rt.list(std::move(part)));
  }
  return rt.iterator(std::move(out));
}

Result<Value> f_attr(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("attr", {"name"}, 1));
  if (!a[0].is(Kind::String)) return type_error("attribute name must be string");
  if (v.undefined()) return undefined_error(v);
  bool unsafe = false;
  // Attributes only: a dict's keys are none.
  if (v.is(Kind::Dict) && !find_method(v.kind(), a[0].text(), unsafe) && !unsafe) {
    return rt.undefined(fmt::format("'{}' has no attribute {}", describe(v), text::repr(a[0].text())));
  }
  return rt.attribute(v, a[0].text());
}

Result<Value> f_map(Runtime& rt, const Value& v, const Args& args) {
  std::vector<Value> out;
  if (!truth(v)) return rt.iterator({});
  Value attribute, otherwise;
  Filter filter = nullptr;
  Args rest = args;
  if (args.positional.empty()) {
    for (const auto& [name, value] : args.named) {
      if (name == "attribute") attribute = value;
      else if (name == "default") otherwise = value;
      else return type_error("Unexpected keyword argument " + text::repr(name));
    }
    if (attribute.missing()) return type_error("map requires a filter argument");
  } else {
    if (!args.positional[0].is(Kind::String)) return type_error("map requires the name of a filter");
    filter = find_filter(args.positional[0].text());
    if (!filter) return type_error(fmt::format("No filter named {}.", text::repr(args.positional[0].text())));
    rest.positional.erase(rest.positional.begin());
  }
  VERGE_ASSIGN(items, rt.iterate(v));
  for (const Value& item : items) {
    VERGE_TRY(rt.spend());
    VERGE_ASSIGN(mapped, filter ? filter(rt, item, rest) : get_attribute(rt, item, attribute, otherwise));
    out.push_back(std::move(mapped));
  }
  return rt.iterator(std::move(out));
}

template <bool keep, bool by_attribute>
Result<Value> f_select(Runtime& rt, const Value& v, const Args& args) {
  if (!truth(v)) return rt.iterator({});
  Args rest = args;
  Value attribute;
  if (by_attribute) {
    if (rest.positional.empty()) return type_error("Missing parameter for attribute name");
    attribute = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  Filter test = nullptr;
  if (!rest.positional.empty()) {
    if (!rest.positional[0].is(Kind::String)) return type_error("select requires the name of a test");
    test = find_test(rest.positional[0].text());
    if (!test) return type_error(fmt::format("No test named {}.", text::repr(rest.positional[0].text())));
    rest.positional.erase(rest.positional.begin());
  }
  std::vector<Value> out;
  VERGE_ASSIGN(items, rt.iterate(v));
  for (const Value& item : items) {
    VERGE_TRY(rt.spend());
    VERGE_ASSIGN(looked_at, get_attribute(rt, item, attribute));
    bool good = truth(looked_at);
    if (test) {
      VERGE_ASSIGN(result, test(rt, looked_at, rest));
      good = truth(result);
    }
    if (good == keep) out.push_back(item);
  }
  return rt.iterator(std::move(out));
}

struct Named {
  std::string_view name;
  Filter function;
};

constexpr Named kFilters[] = {
    {"abs", f_abs},
    {"attr", f_attr},
    {"batch", f_batch},
    {"capitalize", f_capitalize},
    {"center", f_center},
    {"count", f_length},
    {"d", f_default},
    {"default", f_default},
    {"dictsort", f_dictsort},
    {"e", f_escape},
    {"escape", f_escape},
    {"filesizeformat", f_filesizeformat},
    {"first", f_first},
    {"float", f_float},
    {"forceescape", f_forceescape},
    {"format", f_format},
    {"groupby", f_groupby},
    {"indent", f_indent},
    {"int", f_int},
    {"items", f_items},
    {"join", f_join},
    {"last", f_last},
    {"length", f_length},
    {"list", f_list},
    {"lower", f_lower},
    {"map", f_map},
    {"max", f_extreme<true>},
    {"min", f_extreme<false>},
    {"reject", f_select<false, false>},
    {"rejectattr", f_select<false, true>},
    {"replace", f_replace},
    {"reverse", f_reverse},
    {"round", f_round},
    {"safe", f_safe},
    {"select", f_select<true, false>},
    {"selectattr", f_select<true, true>},
    {"slice", f_slice},
    {"sort", f_sort},
    {"string", f_string},
    {"sum", f_sum},
    {"title", f_title},
    {"tojson", f_tojson},
    {"trim", f_trim},
    {"truncate", f_truncate},
    {"unique", f_unique},
    {"upper", f_upper},
    {"urlencode", f_urlencode},
    {"wordcount", f_wordcount},
    {"xmlattr", f_xmlattr},
};
static_assert(std::is_sorted(std::begin(kFilters), std::end(kFilters), [](const Named& a, const Named& b) { return a.name < b.name; }));

}  // namespace

Filter find_filter(std::string_view name) {
  auto it = std::lower_bound(std::begin(kFilters), std::end(kFilters), name, [](const Named& f, std::string_view key) { return f.name < key; });
  return it != std::end(kFilters) && it->name == name ? it->function : nullptr;
}

bool filter_not_supported(std::string_view name) {
  // pprint and wordwrap follow Python's own layout rules, random has no seed, the others make HTML.
  for (std::string_view known : {"pprint", "random", "striptags", "urlize", "wordwrap"}) {
    if (name == known) return true;
  }
  return false;
}

}  // namespace verge::engine::jinja
