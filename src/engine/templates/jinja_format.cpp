#include "engine/templates/jinja_format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// Design: both syntaxes are read into one Spec (fill, alignment, sign, width, precision, type), and
// one function a type turns a value and a Spec into text. Widths and precisions are bounded before
// anything is made.
namespace verge::engine::jinja {
namespace {

constexpr int64_t kPrecisionMax = 1000;

struct Spec {
  std::string fill = " ";
  bool foreign_fill = false;  // the client chose it
  char align = 0;  // '<' '>' '^' '='; 0 = the type's own
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  int64_t precision = -1;
  char grouping = 0;  // ',' or '_'
  char type = 0;
};

Result<ForeignText> padded(Runtime& rt, ForeignText text, const Spec& spec, char own_align,
                           size_t prefix = 0) {
  int64_t n = static_cast<int64_t>(text::length(text.text));
  if (spec.width <= n) return text;
  size_t missing = static_cast<size_t>(spec.width - n);
  VERGE_TRY(rt.reserve(missing * spec.fill.size() + text.size()));
  // So much of the filling stands before the text; with '=' behind its sign.
  const char align = spec.align ? spec.align : own_align;
  const size_t before = align == '<'   ? 0
                        : align == '^' ? missing / 2
                                       : missing,
               sign = align == '=' ? prefix : 0;
  ForeignText out;
  auto fill = [&](size_t count) {
    for (size_t i = 0; i < count; ++i)
      spec.foreign_fill ? out.append_foreign(spec.fill) : void(out += spec.fill);
  };
  const std::string_view whole = text.text;
  out.append(whole.substr(0, sign), text.foreign, 0);
  fill(before);
  out.append(whole.substr(sign), text.foreign, sign);
  fill(missing - before);
  return out;
}

std::string grouped(std::string digits, char separator, size_t every) {
  if (!separator) return digits;
  for (size_t at = digits.size(); at > every;) {
    at -= every;
    digits.insert(at, 1, separator);
  }
  return digits;
}

Result<ForeignText> format_integer(Runtime& rt, Int value, const Spec& spec) {
  bool negative = value < 0;
  unsigned __int128 magnitude = negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  int base = spec.type == 'x' || spec.type == 'X' ? 16 : spec.type == 'o' ? 8 : spec.type == 'b' ? 2 : 10;
  const char* alphabet = spec.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string digits;
  do {
    digits.push_back(alphabet[static_cast<size_t>(magnitude % static_cast<unsigned>(base))]);
    magnitude /= static_cast<unsigned>(base);
  } while (magnitude != 0);
  std::reverse(digits.begin(), digits.end());
  if (spec.precision > static_cast<int64_t>(digits.size())) digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
  digits = grouped(std::move(digits), spec.grouping, base == 10 ? 3 : 4);
  std::string prefix = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.alternate && base != 10) prefix += std::string("0") + spec.type;
  return padded(rt, ForeignText(prefix + digits), spec, '>', prefix.size());
}

std::string print_real(double d, char type, int64_t precision, bool alternate) {
  char format[16];
  std::snprintf(format, sizeof format, alternate ? "%%#.%d%c" : "%%.%d%c", static_cast<int>(precision), type);
  int n = std::snprintf(nullptr, 0, format, d);
  std::string out(static_cast<size_t>(n) + 1, '\0');
  std::snprintf(out.data(), out.size(), format, d);
  out.resize(static_cast<size_t>(n));
  return out;
}

Result<ForeignText> format_real(Runtime& rt, double d, const Spec& spec) {
  if (spec.precision > kPrecisionMax) return type_error("precision too large");
  std::string text;
  double magnitude = std::fabs(d);
  bool negative = std::signbit(d) && !std::isnan(d);
  if (!std::isfinite(d)) {
    text = std::isnan(d) ? "nan" : "inf";
    if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') text = text::upper(text);
    if (spec.type == '%') text += '%';
  } else if (spec.type == 0 && spec.precision < 0) {
    text = text::repr(magnitude);
  } else if (spec.type == 0) {
    // As 'g', but with at least one digit past the point.
    text = print_real(magnitude, 'g', std::max<int64_t>(spec.precision, 1), false);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
  } else if (spec.type == '%') {
    text = print_real(magnitude * 100, 'f', spec.precision < 0 ? 6 : spec.precision, spec.alternate) + "%";
  } else {
    char type = spec.type == 'n' ? 'g' : spec.type;
    text = print_real(magnitude, type, spec.precision < 0 ? 6 : spec.precision, spec.alternate);
  }
  if (spec.grouping) {
    size_t whole = text.find_first_not_of("0123456789");
    if (whole == std::string::npos) whole = text.size();
    text = grouped(text.substr(0, whole), spec.grouping, 3) + text.substr(whole);
  }
  std::string prefix = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  return padded(rt, ForeignText(prefix + text), spec, '>', prefix.size());
}

Result<ForeignText> format_text(Runtime& rt, const ForeignText& text, const Spec& spec) {
  std::string_view s = text.text;
  if (spec.precision >= 0) s = s.substr(0, text::offset(s, static_cast<size_t>(spec.precision)));
  ForeignText kept;
  kept.append(s, text.foreign, 0);
  return padded(rt, std::move(kept), spec, '<');
}

bool real_type(char c) { return c && std::string_view("eEfFgGn%").find(c) != std::string_view::npos; }
bool integer_type(char c) { return c && std::string_view("dxXobn").find(c) != std::string_view::npos; }

// Reads decimal digits at `pos`; -1 where there are none.
Result<int64_t> read_number(std::string_view s, size_t& pos) {
  int64_t n = -1;
  while (pos < s.size() && s[pos] >= '0' && s[pos] <= '9') {
    n = std::max<int64_t>(n, 0) * 10 + (s[pos++] - '0');
    if (n > static_cast<int64_t>(limits::kTemplateOutputBytes)) return type_error("Too many decimal digits in format string");
  }
  return n;
}

// ---- "%s" % x ----

Result<ForeignText> percent_value(Runtime& rt, char conversion, Spec spec, const Value& v,
                                  bool escape) {
  switch (conversion) {
    case 's':
    case 'r':
    case 'a': {
      ForeignText shown;
      if (conversion == 's') VERGE_TRY(rt.append_str(shown, v));
      else VERGE_TRY(rt.append_repr(shown, v, 1));
      shown = escaped(shown, escape && !(v.is(Kind::String) && v.markup()));
      if (spec.align == '=') spec.align = '>';
      spec.fill = " ";
      if (!spec.align) spec.align = '>';
      return format_text(rt, shown, spec);
    }
    case 'c':
      if (v.is(Kind::String) && text::length(v.text()) == 1) {
        VERGE_ASSIGN(c, rt.str(v));
        return format_text(rt, c, spec);
      }
      if (v.is_integral() && v.integer() >= 0 && v.integer() <= 0x10FFFF) {
        std::string c;
        text::append(c, static_cast<char32_t>(v.integer()));
        return format_text(rt, ForeignText(std::move(c), true),
                           spec);  // the number may be a client's
      }
      return type_error("%c requires int or char");
    case 'd':
    case 'i':
    case 'u':
      if (v.undefined()) return undefined_error(v);
      if (!v.is_number()) return type_error(fmt::format("%{} format: a real number is required, not {}", conversion, type_name(v)));
      spec.type = 'd';
      if (v.is(Kind::Float)) {
        if (!std::isfinite(v.real())) return type_error("cannot convert float infinity or NaN to integer");
        if (std::fabs(v.real()) > 1e30) return type_error("integer too large");
        return format_integer(rt, static_cast<Int>(v.real()), spec);
      }
      return format_integer(rt, v.integer(), spec);
    case 'x':
    case 'X':
    case 'o':
      if (!v.is_integral()) return type_error(fmt::format("%{} format: an integer is required, not {}", conversion, type_name(v)));
      spec.type = conversion;
      return format_integer(rt, v.integer(), spec);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (v.undefined()) return undefined_error(v);
      if (!v.is_number()) return type_error(fmt::format("must be real number, not {}", type_name(v)));
      spec.type = conversion;
      return format_real(rt, v.real(), spec);
    default: return type_error(fmt::format("unsupported format character '{}'", conversion));
  }
}

// Where the next argument comes from: the items of a tuple, or the one value.
struct Positional {
  const Value& arguments;
  size_t used = 0;
  Result<Value> next() {
    if (arguments.is(Kind::Tuple)) {
      if (used < arguments.items().size()) return arguments.items()[used++];
    } else if (used++ == 0) {
      return arguments;
    }
    return type_error("not enough arguments for format string");
  }
};

// ---- "{}".format(x) ----

Result<Spec> parse_spec(std::string_view s, char& own_type) {
  Spec spec;
  size_t pos = 0;
  auto aligns = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!s.empty()) {
    size_t after = 0;
    text::next(s, after);
    if (after < s.size() && aligns(s[after])) {
      spec.fill = s.substr(0, after);
      spec.align = s[after];
      pos = after + 1;
    } else if (aligns(s[0])) {
      spec.align = s[0];
      pos = 1;
    }
  }
  if (pos < s.size() && (s[pos] == '+' || s[pos] == '-' || s[pos] == ' ')) spec.sign = s[pos++];
  if (pos < s.size() && s[pos] == '#') spec.alternate = true, ++pos;
  if (pos < s.size() && s[pos] == '0') {
    if (!spec.align) spec.fill = "0", spec.align = '=';
    ++pos;
  }
  VERGE_ASSIGN(width, read_number(s, pos));
  spec.width = std::max<int64_t>(width, 0);
  if (pos < s.size() && (s[pos] == ',' || s[pos] == '_')) spec.grouping = s[pos++];
  if (pos < s.size() && s[pos] == '.') {
    ++pos;
    VERGE_ASSIGN(precision, read_number(s, pos));
    if (precision < 0) return type_error("Format specifier missing precision");
    spec.precision = precision;
  }
  if (pos < s.size()) spec.type = s[pos++];
  if (pos < s.size()) return type_error("Invalid format specifier");
  own_type = spec.type;
  return spec;
}

Result<ForeignText> brace_value(Runtime& rt, const Value& v, const ForeignText& given_spec) {
  if (given_spec.text.empty()) return rt.str(v);
  char type = 0;
  VERGE_ASSIGN(spec, parse_spec(given_spec.text, type));
  spec.foreign_fill = !given_spec.foreign.empty();
  auto wrong = [&] { return type_error(fmt::format("Unknown format code '{}' for object of type '{}'", type, type_name(v))); };
  if (v.is(Kind::String)) {
    if (type && type != 's') return wrong();
    if (spec.align == '=' && spec.fill == "0") spec.align = '<';
    else if (spec.align == '=') return type_error("'=' alignment not allowed in string format specifier");
    VERGE_ASSIGN(text, rt.str(v));
    return format_text(rt, text, spec);
  }
  if (v.is_integral()) {
    if (real_type(type) && type != 'n') return format_real(rt, v.real(), spec);
    if (type == 'c') return percent_value(rt, 'c', spec, v, false);
    if (type && !integer_type(type)) return wrong();
    if (spec.precision >= 0) return type_error("Precision not allowed in integer format specifier");
    return format_integer(rt, v.integer(), spec);
  }
  if (v.is(Kind::Float)) {
    if (type && !real_type(type)) return wrong();
    return format_real(rt, v.real(), spec);
  }
  return type_error(fmt::format("unsupported format string passed to {}.__format__", type_name(v)));
}

// State of one str.format call: "{}" counts up, "{0}" does not, and the two do not mix.
struct Braces {
  Runtime& rt;
  const Value& format;
  const Args& args;
  int64_t automatic = 0;
  bool manual = false;

  Result<Value> field(std::string_view name) {
    size_t end = name.find_first_of(".[");
    std::string_view first = name.substr(0, end);
    Value v;
    bool digits = first.find_first_not_of("0123456789") == std::string_view::npos;
    if (digits) {
      size_t pos = 0;
      VERGE_ASSIGN(number, read_number(first, pos));
      int64_t index = number;
      if (first.empty()) {
        if (manual) return type_error("cannot switch from manual field specification to automatic field numbering");
        index = automatic++;
      } else {
        if (automatic > 0) return type_error("cannot switch from automatic field numbering to manual field specification");
        manual = true;
      }
      if (index >= static_cast<int64_t>(args.positional.size())) {
        return type_error(fmt::format("Replacement index {} out of range for positional args tuple", index));
      }
      v = args.positional[static_cast<size_t>(index)];
    } else {
      auto it = std::find_if(args.named.begin(), args.named.end(), [&](const auto& a) { return a.first == first; });
      if (it == args.named.end()) return type_error(text::repr(first));
      v = it->second;
    }
    std::string_view rest = end == std::string_view::npos ? std::string_view() : name.substr(end);
    while (!rest.empty()) {
      if (rest[0] == '.') {
        size_t stop = std::min(rest.find_first_of(".[", 1), rest.size());
        VERGE_ASSIGN(next, rt.attribute(v, rest.substr(1, stop - 1)));
        v = std::move(next);
        rest.remove_prefix(stop);
      } else {
        size_t stop = rest.find(']');
        if (rest[0] != '[' || stop == std::string_view::npos) return type_error("Missing ']' in format string");
        std::string_view key = rest.substr(1, stop - 1);
        bool number = !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
        size_t pos = 0;
        VERGE_ASSIGN(index, read_number(number ? key : std::string_view(), pos));
        VERGE_ASSIGN(next, rt.item(v, number ? Value::integer(index) : rt.string(key)));
        v = std::move(next);
        rest.remove_prefix(stop + 1);
      }
    }
    return v;
  }

  // `s` is a part of the format, at byte `offset` of it.
  Result<ForeignText> expand(std::string_view s, size_t offset, int depth) {
    if (depth > 2) return type_error("Max string recursion exceeded");
    ForeignText out;
    for (size_t pos = 0; pos < s.size();) {
      char c = s[pos];
      if (c != '{' && c != '}') {
        size_t stop = std::min(s.find_first_of("{}", pos), s.size());
        out.append(s.substr(pos, stop - pos), format.foreign(), offset + pos);
        pos = stop;
        continue;
      }
      if (pos + 1 < s.size() && s[pos + 1] == c) {
        out.append(s.substr(pos, 1), format.foreign(), offset + pos);
        pos += 2;
        continue;
      }
      if (c == '}') return type_error("Single '}' encountered in format string");
      size_t end = pos + 1;
      int open = 1;
      while (end < s.size() && open > 0) {
        if (s[end] == '{') ++open;
        if (s[end] == '}') --open;
        ++end;
      }
      if (open > 0) return type_error("expected '}' before end of string");
      std::string_view inside = s.substr(pos + 1, end - pos - 2);
      pos = end;
      size_t mark = 0;
      for (bool bracket = false; mark < inside.size(); ++mark) {
        if (inside[mark] == '[') bracket = true;
        if (inside[mark] == ']') bracket = false;
        if (!bracket && (inside[mark] == '!' || inside[mark] == ':')) break;
      }
      VERGE_ASSIGN(v, field(inside.substr(0, mark)));
      std::string_view rest = inside.substr(mark);
      Value shown = v;
      if (!rest.empty() && rest[0] == '!') {
        if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':')) return type_error("expected ':' after conversion specifier");
        ForeignText converted;
        if (rest[1] == 's') VERGE_TRY(rt.append_str(converted, v));
        else if (rest[1] == 'r' || rest[1] == 'a') VERGE_TRY(rt.append_repr(converted, v, 1));
        else return type_error(fmt::format("Unknown conversion specifier {}", rest[1]));
        shown = rt.string(std::move(converted));
        rest.remove_prefix(2);
      }
      if (!rest.empty()) rest.remove_prefix(1);
      VERGE_ASSIGN(spec,
                   expand(rest, offset + static_cast<size_t>(rest.data() - s.data()), depth + 1));
      VERGE_ASSIGN(piece, brace_value(rt, shown, spec));
      piece = escaped(piece,
                      format.markup() && depth == 0 && !(shown.is(Kind::String) && shown.markup()));
      VERGE_TRY(rt.reserve(out.size() + piece.size()));
      out += piece;
    }
    return out;
  }
};

}  // namespace

Result<Value> percent_format(Runtime& rt, const Value& format, const Value& arguments) {
  std::string_view s = format.text();
  ForeignText out;
  Positional positional{arguments};
  bool mapping = arguments.is(Kind::Dict) || arguments.is(Kind::List);
  for (size_t pos = 0; pos < s.size();) {
    size_t percent = std::min(s.find('%', pos), s.size());
    out.append(s.substr(pos, percent - pos), format.foreign(), pos);
    pos = percent + 1;
    if (percent == s.size()) break;
    Value from_mapping;
    if (pos < s.size() && s[pos] == '(') {
      size_t close = s.find(')', pos);
      if (close == std::string_view::npos) return type_error("incomplete format key");
      if (!arguments.is(Kind::Dict)) return type_error("format requires a mapping");
      std::string_view key = s.substr(pos + 1, close - pos - 1);
      const Value* found = arguments.as<DictObject>().find(key);
      if (!found) return type_error(text::repr(key));
      from_mapping = *found;
      pos = close + 1;
    }
    Spec spec;
    for (; pos < s.size() && std::string_view("#0- +").find(s[pos]) != std::string_view::npos; ++pos) {
      if (s[pos] == '#') spec.alternate = true;
      else if (s[pos] == '-') spec.align = '<', spec.fill = " ";
      else if (s[pos] == '0' && spec.align != '<') spec.align = '=', spec.fill = "0";
      else if (s[pos] == '+') spec.sign = '+';
      else if (s[pos] == ' ' && spec.sign != '+') spec.sign = ' ';
    }
    auto number = [&]() -> Result<int64_t> {
      if (pos < s.size() && s[pos] == '*') {
        ++pos;
        VERGE_ASSIGN(v, positional.next());
        return integer_argument(v, "* in a format string");
      }
      return read_number(s, pos);
    };
    VERGE_ASSIGN(width, number());
    if (width < -1) spec.align = '<';
    spec.width = width < -1 ? -width : std::max<int64_t>(width, 0);
    if (pos < s.size() && s[pos] == '.') {
      ++pos;
      VERGE_ASSIGN(precision, number());
      spec.precision = std::max<int64_t>(precision, 0);
    }
    while (pos < s.size() && (s[pos] == 'h' || s[pos] == 'l' || s[pos] == 'L')) ++pos;
    if (pos >= s.size()) return type_error("incomplete format");
    char conversion = s[pos++];
    if (conversion == '%') {
      out.append(s.substr(percent, 1), format.foreign(), percent);
      continue;
    }
    if (spec.precision > kPrecisionMax && conversion != 's' && conversion != 'r') return type_error("precision too large");
    if (from_mapping.missing()) {
      VERGE_ASSIGN(v, positional.next());
      from_mapping = std::move(v);
    }
    VERGE_ASSIGN(piece, percent_value(rt, conversion, spec, from_mapping, format.markup()));
    VERGE_TRY(rt.reserve(out.size() + piece.size()));
    out += piece;
  }
  size_t given = arguments.is(Kind::Tuple) ? arguments.items().size() : 1;
  if (!mapping && positional.used < given) return type_error("not all arguments converted during string formatting");
  return rt.string(std::move(out), format.markup());
}

Result<Value> brace_format(Runtime& rt, const Value& format, const Args& args) {
  Braces braces{rt, format, args};
  VERGE_ASSIGN(out, braces.expand(format.text(), 0, 0));
  return rt.string(std::move(out), format.markup());
}

}  // namespace verge::engine::jinja
