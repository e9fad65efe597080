#include <algorithm>
#include <cmath>

#include "engine/templates/jinja_format.h"
#include "engine/templates/jinja_runtime.h"
#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// Design: Python's operators. Integers are 128 bits wide and kept within ±2^100, so sums cannot wrap;
// products are checked by a division first. Comparisons spend steps for every pair they
// look at: values may share parts, and a small one can be exponentially large when walked.
namespace verge::engine::jinja {
namespace {

constexpr Int kIntLimit = static_cast<Int>(1) << 100;

const char* symbol(Operator op) {
  switch (op) {
    case Operator::Add: return "+";
    case Operator::Sub: return "-";
    case Operator::Mul: return "*";
    case Operator::Div: return "/";
    case Operator::FloorDiv: return "//";
    case Operator::Mod: return "%";
    case Operator::Pow: return "** or pow()";
    case Operator::Lt: return "<";
    case Operator::Le: return "<=";
    case Operator::Gt: return ">";
    case Operator::Ge: return ">=";
    default: return "?";
  }
}

Result<Value> bounded(Int i) {
  if (i >= kIntLimit || i <= -kIntLimit) return type_error("integer too large");
  return Value::integer(i);
}

Int magnitude(Int i) { return i < 0 ? -i : i; }

Result<Int> multiply(Int a, Int b) {
  if (a == 0 || b == 0) return Int{0};
  if (magnitude(a) > kIntLimit / magnitude(b)) return type_error("integer too large");
  return a * b;
}

Int floor_divide(Int a, Int b) {
  Int q = a / b;
  return (a % b != 0 && ((a < 0) != (b < 0))) ? q - 1 : q;
}

Error unsupported(Operator op, const Value& a, const Value& b) {
  return type_error(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", symbol(op), type_name(a), type_name(b)));
}

bool is_sequence(const Value& v) { return v.is(Kind::List) || v.is(Kind::Tuple); }

}  // namespace

Result<bool> Runtime::equal(const Value& a, const Value& b) {
  VERGE_TRY(spend());
  if (a.is_number() && b.is_number()) {
    return a.is_integral() && b.is_integral() ? a.integer() == b.integer() : a.real() == b.real();
  }
  if (a.kind() != b.kind()) {
    // dict.keys() and the like compare as sets with one another only; every other mix is unequal.
    return false;
  }
  switch (a.kind()) {
    case Kind::Missing:
    case Kind::Undefined:
    case Kind::None: return true;
    case Kind::String: return a.text() == b.text();
    case Kind::List:
    case Kind::Tuple: {
      if (a.shared() == b.shared()) return true;
      const auto &x = a.items(), &y = b.items();
      if (x.size() != y.size()) return false;
      for (size_t i = 0; i < x.size(); ++i) {
        VERGE_ASSIGN(same, equal(x[i], y[i]));
        if (!same) return false;
      }
      return true;
    }
    case Kind::Dict: {
      if (a.shared() == b.shared()) return true;
      const auto &x = a.as<DictObject>(), &y = b.as<DictObject>();
      if (x.entries.size() != y.entries.size()) return false;
      for (const auto& [key, value] : x.entries) {
        const Value* other = y.find(key);
        if (!other) return false;
        VERGE_ASSIGN(same, equal(value, *other));
        if (!same) return false;
      }
      return true;
    }
    case Kind::Range: {
      const auto &x = a.as<RangeObject>(), &y = b.as<RangeObject>();
      if (x.length != y.length) return false;
      return x.length == 0 || (x.start == y.start && (x.length == 1 || x.step == y.step));
    }
    default: return a.shared() == b.shared();
  }
}

Result<bool> Runtime::less(const Value& a, const Value& b) {
  VERGE_TRY(spend());
  if (a.undefined()) return undefined_error(a);
  if (b.undefined()) return undefined_error(b);
  if (a.is_number() && b.is_number()) {
    return a.is_integral() && b.is_integral() ? a.integer() < b.integer() : a.real() < b.real();
  }
  if (a.is(Kind::String) && b.is(Kind::String)) return a.text() < b.text();  // UTF-8 sorts as its code points do
  if (is_sequence(a) && a.kind() == b.kind()) {
    const auto &x = a.items(), &y = b.items();
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      VERGE_ASSIGN(same, equal(x[i], y[i]));
      if (!same) return less(x[i], y[i]);
    }
    return x.size() < y.size();
  }
  return type_error(fmt::format("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b)));
}

Result<bool> Runtime::contains(const Value& container, const Value& item) {
  VERGE_TRY(spend());
  switch (container.kind()) {
    case Kind::String:
      if (!item.is(Kind::String)) return type_error(fmt::format("'in <string>' requires string as left operand, not {}", type_name(item)));
      VERGE_TRY(spend(container.text().size() / 64));
      return container.text().find(item.text()) != std::string_view::npos;
    case Kind::Dict:
      if (!hashable(item)) return type_error(fmt::format("unhashable type: '{}'", type_name(item)));
      return container.as<DictObject>().find(item) != nullptr;
    case Kind::Range: {
      const auto& r = container.as<RangeObject>();
      if (!item.is_number() || r.length == 0) return false;
      double d = item.real();
      Int i = item.is_integral() ? item.integer() : std::floor(d) == d && std::fabs(d) < 9e15 ? static_cast<Int>(d) : Int{r.stop};
      Int offset = i - r.start;
      return offset % r.step == 0 && offset / r.step >= 0 && offset / r.step < r.length;
    }
    default: {
      if (!is_iterable(container)) return type_error(fmt::format("argument of type '{}' is not iterable", type_name(container)));
      VERGE_ASSIGN(items, iterate(container));
      for (const Value& candidate : items) {
        VERGE_ASSIGN(same, equal(candidate, item));
        if (same) return true;
      }
      return false;
    }
  }
}

Result<Value> Runtime::integers(Operator op, Int a, Int b) {
  switch (op) {
    case Operator::Add: return bounded(a + b);
    case Operator::Sub: return bounded(a - b);
    case Operator::Mul: {
      VERGE_ASSIGN(product, multiply(a, b));
      return bounded(product);
    }
    case Operator::Div:
      if (b == 0) return type_error("division by zero");
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case Operator::FloorDiv:
      if (b == 0) return type_error("integer division or modulo by zero");
      return Value::integer(floor_divide(a, b));
    case Operator::Mod:
      if (b == 0) return type_error("integer modulo by zero");
      return Value::integer(a - floor_divide(a, b) * b);
    default: break;
  }
  if (b < 0) {
    if (a == 0) return type_error("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
  if (a == 0 || a == 1) return Value::integer(b == 0 ? 1 : a);
  if (a == -1) return Value::integer(b % 2 == 0 ? 1 : -1);
  Int result = 1;
  for (Int i = 0; i < b; ++i) {  // ends soon: |a| >= 2 is past the limit after 100 rounds
    VERGE_ASSIGN(product, multiply(result, a));
    VERGE_TRY(bounded(product));
    result = product;
  }
  return Value::integer(result);
}

Result<Value> Runtime::reals(Operator op, double a, double b) {
  switch (op) {
    case Operator::Add: return Value::real(a + b);
    case Operator::Sub: return Value::real(a - b);
    case Operator::Mul: return Value::real(a * b);
    case Operator::Div:
      if (b == 0) return type_error("float division by zero");
      return Value::real(a / b);
    case Operator::FloorDiv:
    case Operator::Mod: {
      if (b == 0) return type_error(op == Operator::Mod ? "float modulo" : "float floor division by zero");
      double m = std::fmod(a, b);
      double q = (a - m) / b;
      if (m != 0 && (b < 0) != (m < 0)) {
        m += b;
        q -= 1;
      } else if (m == 0) {
        m = std::copysign(0.0, b);
      }
      if (op == Operator::Mod) return Value::real(m);
      double floored = std::floor(q);
      if (q - floored > 0.5) floored += 1;
      return Value::real(q == 0 ? std::copysign(0.0, a / b) : floored);
    }
    default: {
      if (a == 0 && b < 0) return type_error("0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(a) && std::floor(b) != b) return type_error("a negative number to a fractional power is not supported");
      double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) return type_error("(34, 'Numerical result out of range')");
      return Value::real(result);
    }
  }
}

Result<Value> Runtime::repeat(const Value& sequence, const Value& times) {
  size_t n = sequence.is(Kind::String) ? sequence.text().size() : sequence.items().size();
  Int count = std::max<Int>(times.integer(), 0);
  if (n == 0) count = 0;
  size_t unit = sequence.is(Kind::String) ? 1 : sizeof(Value);
  if (count > 0 && count > static_cast<Int>(limits::kTemplateOutputBytes / (n * unit))) {
    return fail(Code::InvalidInput, "the chat template makes a value of more than {} bytes", limits::kTemplateOutputBytes);
  }
  VERGE_TRY(reserve(n * unit * static_cast<size_t>(count)));
  if (sequence.is(Kind::String)) {
    ForeignText out;
    out.text.reserve(n * static_cast<size_t>(count));
    for (Int i = 0; i < count; ++i) out.append(sequence.text(), sequence.foreign(), 0);
    return string(std::move(out), sequence.markup());
  }
  std::vector<Value> out;
  for (Int i = 0; i < count; ++i) out.insert(out.end(), sequence.items().begin(), sequence.items().end());
  return sequence.is(Kind::Tuple) ? tuple(std::move(out)) : list(std::move(out));
}

Result<Value> Runtime::arithmetic(Operator op, const Value& a, const Value& b) {
  if (op == Operator::Mod && a.is(Kind::String)) return percent_format(*this, a, b);
  if (a.undefined()) return undefined_error(a);
  if (b.undefined()) return undefined_error(b);
  if (a.is_number() && b.is_number()) {
    return a.is_integral() && b.is_integral() ? integers(op, a.integer(), b.integer()) : reals(op, a.real(), b.real());
  }
  if (op == Operator::Add) {
    if (a.is(Kind::String) && b.is(Kind::String)) {
      VERGE_TRY(reserve(a.text().size() + b.text().size()));
      bool markup = a.markup() || b.markup();
      VERGE_ASSIGN(out, str(a));
      VERGE_ASSIGN(second, str(b));
      out = escaped(out, markup && !a.markup());
      out += escaped(second, markup && !b.markup());
      return string(std::move(out), markup);
    }
    if (is_sequence(a) && a.kind() == b.kind()) {
      VERGE_TRY(reserve((a.items().size() + b.items().size()) * sizeof(Value)));
      std::vector<Value> out = a.items();
      out.insert(out.end(), b.items().begin(), b.items().end());
      return a.is(Kind::Tuple) ? tuple(std::move(out)) : list(std::move(out));
    }
    if (a.is(Kind::String)) return type_error(fmt::format("can only concatenate str (not \"{}\") to str", type_name(b)));
    if (is_sequence(a)) return type_error(fmt::format("can only concatenate {0} (not \"{1}\") to {0}", type_name(a), type_name(b)));
  }
  if (op == Operator::Mul) {
    if ((a.is(Kind::String) || is_sequence(a)) && b.is_integral()) return repeat(a, b);
    if ((b.is(Kind::String) || is_sequence(b)) && a.is_integral()) return repeat(b, a);
  }
  return unsupported(op, a, b);
}

Result<Value> Runtime::binary(Operator op, const Value& a, const Value& b) {
  switch (op) {
    case Operator::Eq:
    case Operator::Ne: {
      VERGE_ASSIGN(same, equal(a, b));
      return Value::boolean(same == (op == Operator::Eq));
    }
    case Operator::In:
    case Operator::NotIn: {
      VERGE_ASSIGN(found, contains(b, a));
      return Value::boolean(found == (op == Operator::In));
    }
    case Operator::Lt:
    case Operator::Gt: {
      auto result = op == Operator::Lt ? less(a, b) : less(b, a);
      if (result) return Value::boolean(*result);
      if (a.undefined() || b.undefined()) return result.error();
      if (op == Operator::Lt || a.kind() == b.kind()) return result.error();
      return type_error(fmt::format("'>' not supported between instances of '{}' and '{}'", type_name(a), type_name(b)));
    }
    case Operator::Le:
    case Operator::Ge: {
      // a <= b is "a < b or a == b": not "not b < a", which NaN would make true.
      auto below = op == Operator::Le ? less(a, b) : less(b, a);
      if (!below) {
        if (a.undefined() || b.undefined() || a.kind() == b.kind()) return below.error();
        return type_error(fmt::format("'{}' not supported between instances of '{}' and '{}'", symbol(op), type_name(a), type_name(b)));
      }
      if (*below) return Value::boolean(true);
      VERGE_ASSIGN(same, equal(a, b));
      return Value::boolean(same);
    }
    default: return arithmetic(op, a, b);
  }
}

Result<Value> Runtime::negate(const Value& v, bool keep_sign) {
  if (v.undefined()) return undefined_error(v);
  if (v.is_integral()) return Value::integer(keep_sign ? v.integer() : -v.integer());
  if (v.is(Kind::Float)) return Value::real(keep_sign ? v.real() : -v.real());
  return type_error(fmt::format("bad operand type for unary {}: '{}'", keep_sign ? '+' : '-', type_name(v)));
}

Result<void> Runtime::stable_sort(std::vector<Value>& items, const std::vector<Value>& keys, bool reverse) {
  // Binary insertion would be quadratic; std::stable_sort needs an order that holds even where a
  // comparison fails, so the first failure makes all further ones "not less".
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  Result<void> status;
  auto before = [&](size_t a, size_t b) {
    if (!status) return false;
    auto result = less(keys[a], keys[b]);
    if (!result) {
      status = std::move(result.error());
      return false;
    }
    return *result;
  };
  // Reversed order keeps equal items in place, as Python's reverse=True does.
  if (reverse) std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return before(b, a); });
  else std::stable_sort(order.begin(), order.end(), before);
  VERGE_TRY(std::move(status));
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (size_t i : order) sorted.push_back(std::move(items[i]));
  items = std::move(sorted);
  return {};
}

}  // namespace verge::engine::jinja
