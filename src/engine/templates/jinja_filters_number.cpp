#include "engine/templates/jinja_filter_parts.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "engine/templates/jinja_text.h"

// Filters that make numbers, reading text as Python's int() and float() do.
namespace verge::engine::jinja {
namespace {

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

}  // namespace

Result<Value> f_abs(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("abs", {}, 0));
  if (!v.is_number()) return v.undefined() ? undefined_error(v) : type_error(fmt::format("bad operand type for abs(): '{}'", type_name(v)));
  return v.real() < 0 ? rt.negate(v, false) : rt.negate(v, true);
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

}  // namespace verge::engine::jinja
