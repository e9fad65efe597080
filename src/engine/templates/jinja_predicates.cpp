#include <algorithm>

#include "engine/templates/jinja_filters.h"
#include "engine/templates/jinja_text.h"

// Jinja's tests ("x is defined"): functions of a value and arguments that give a Bool.
namespace verge::engine::jinja {
namespace {

using Check = bool (*)(const Value&);

// A test without arguments.
template <Check check>
Result<Value> plain(Runtime&, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("test", {}, 0));
  return Value::boolean(check(v));
}

bool t_defined(const Value& v) { return !v.undefined(); }
bool t_undefined(const Value& v) { return v.undefined(); }
bool t_none(const Value& v) { return v.is(Kind::None); }
bool t_boolean(const Value& v) { return v.is(Kind::Bool); }
bool t_true(const Value& v) { return v.is(Kind::Bool) && truth(v); }
bool t_false(const Value& v) { return v.is(Kind::Bool) && !truth(v); }
bool t_integer(const Value& v) { return v.is(Kind::Int); }
bool t_float(const Value& v) { return v.is(Kind::Float); }
bool t_number(const Value& v) { return v.is_number(); }
bool t_string(const Value& v) { return v.is(Kind::String); }
bool t_mapping(const Value& v) { return v.is(Kind::Dict); }
bool t_escaped(const Value& v) { return v.is(Kind::String) && v.markup(); }
bool t_callable(const Value& v) { return v.is(Kind::Function) || v.is(Kind::Loop) || v.undefined() || (v.is(Kind::Helper) && v.as<HelperObject>().joiner); }
// What has a length and can be indexed; an undefined value looks like an empty one.
bool t_sequence(const Value& v) {
  return v.undefined() || v.is(Kind::String) || v.is(Kind::List) || v.is(Kind::Tuple) || v.is(Kind::Dict) || v.is(Kind::Range);
}

template <bool (*check)(std::string_view)>
Result<Value> t_case(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("test", {}, 0));
  VERGE_ASSIGN(s, rt.str(v));
  return Value::boolean(check(s.text));
}

template <Operator op>
Result<Value> t_compare(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("test", {"other"}, 1));
  return rt.binary(op, v, a[0]);
}

Result<Value> remainder_is(Runtime& rt, const Value& v, const Value& divisor, Int wanted) {
  VERGE_ASSIGN(rest, rt.binary(Operator::Mod, v, divisor));
  return rt.binary(Operator::Eq, rest, Value::integer(wanted));
}
Result<Value> t_odd(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("odd", {}, 0));
  return remainder_is(rt, v, Value::integer(2), 1);
}
Result<Value> t_even(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("even", {}, 0));
  return remainder_is(rt, v, Value::integer(2), 0);
}
Result<Value> t_divisibleby(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("divisibleby", {"num"}, 1));
  return remainder_is(rt, v, a[0], 0);
}

// Identity. Small integers are one object in the reference, as None and the booleans are.
Result<Value> t_sameas(Runtime&, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("sameas", {"other"}, 1));
  const Value& w = a[0];
  if (v.kind() != w.kind()) return Value::boolean(false);
  if (v.is(Kind::None)) return Value::boolean(true);
  if (v.is_integral()) return Value::boolean(v.integer() == w.integer());
  return Value::boolean(v.shared() && v.shared() == w.shared());
}

Result<Value> t_filter(Runtime&, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("filter", {}, 0));
  return Value::boolean(v.is(Kind::String) && find_filter(v.text()));
}
Result<Value> t_test(Runtime&, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("test", {}, 0));
  return Value::boolean(v.is(Kind::String) && find_test(v.text()));
}

struct Named {
  std::string_view name;
  Filter function;
};

constexpr Named kTests[] = {
    {"!=", t_compare<Operator::Ne>},
    {"<", t_compare<Operator::Lt>},
    {"<=", t_compare<Operator::Le>},
    {"==", t_compare<Operator::Eq>},
    {">", t_compare<Operator::Gt>},
    {">=", t_compare<Operator::Ge>},
    {"boolean", plain<t_boolean>},
    {"callable", plain<t_callable>},
    {"defined", plain<t_defined>},
    {"divisibleby", t_divisibleby},
    {"eq", t_compare<Operator::Eq>},
    {"equalto", t_compare<Operator::Eq>},
    {"escaped", plain<t_escaped>},
    {"even", t_even},
    {"false", plain<t_false>},
    {"filter", t_filter},
    {"float", plain<t_float>},
    {"ge", t_compare<Operator::Ge>},
    {"greaterthan", t_compare<Operator::Gt>},
    {"gt", t_compare<Operator::Gt>},
    {"in", t_compare<Operator::In>},
    {"integer", plain<t_integer>},
    {"iterable", plain<is_iterable>},
    {"le", t_compare<Operator::Le>},
    {"lessthan", t_compare<Operator::Lt>},
    {"lower", t_case<text::is_lower>},
    {"lt", t_compare<Operator::Lt>},
    {"mapping", plain<t_mapping>},
    {"ne", t_compare<Operator::Ne>},
    {"none", plain<t_none>},
    {"number", plain<t_number>},
    {"odd", t_odd},
    {"sameas", t_sameas},
    {"sequence", plain<t_sequence>},
    {"string", plain<t_string>},
    {"test", t_test},
    {"true", plain<t_true>},
    {"undefined", plain<t_undefined>},
    {"upper", t_case<text::is_upper>},
};
static_assert(std::is_sorted(std::begin(kTests), std::end(kTests), [](const Named& a, const Named& b) { return a.name < b.name; }));

}  // namespace

Filter find_test(std::string_view name) {
  auto it = std::lower_bound(std::begin(kTests), std::end(kTests), name, [](const Named& t, std::string_view key) { return t.name < key; });
  return it != std::end(kTests) && it->name == name ? it->function : nullptr;
}

}  // namespace verge::engine::jinja
