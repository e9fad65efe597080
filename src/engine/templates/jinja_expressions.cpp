#include "engine/templates/jinja_expressions.h"

#include "engine/templates/jinja_filters.h"

// Design: a function a level of precedence, loosest first. Nesting is limited while descending, and
// the height of what loops build (a + b + c …) when a node is made.
//
// As in the reference, an unknown filter is a syntax error unless it stands in a condition or its
// branches, where templates guard filters that other hosts have: there it is an error only when run.
namespace verge::engine::jinja {

bool ExpressionParser::at_tuple_end(const TupleOptions& o) const {
  return current().type == Type::VariableEnd || current().type == Type::BlockEnd || is_op(")") || (!o.end.empty() && is_name(o.end));
}

Result<ExprPtr> ExpressionParser::tuple(TupleOptions o) {
  int line = current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) VERGE_TRY(expect_op(","));
    if (at_tuple_end(o)) break;
    VERGE_ASSIGN(item, expression(o.conditional));
    items.push_back(std::move(item));
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!o.parentheses) return error("Expected an expression, got '{}'", describe_current());
  }
  ExprPtr e = make(EK::Tuple, line);
  for (auto& item : items) add(*e, std::move(item));
  return made(std::move(e));
}

Result<Target> ExpressionParser::target_item(const TupleOptions& o) {
  Level level(depth_);
  VERGE_TRY(check_depth());
  if (skip_op("(")) {
    TupleOptions inner = o;
    inner.end = {};
    VERGE_ASSIGN(target, assign_target(inner));
    VERGE_TRY(expect_op(")"));
    return target;
  }
  if (current().type != Type::Name) return error("can't assign to '{}'", describe_current());
  std::string name = current().text;
  for (std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) return error("can't assign to '{}'", name);
  }
  next();
  Target t;
  t.name = intern(name);
  if (o.namespaces && skip_op(".")) {
    VERGE_ASSIGN(attribute, expect_name());
    t.attribute = attribute;
  }
  return t;
}

Result<Target> ExpressionParser::assign_target(TupleOptions o) {
  Target all;
  for (;;) {
    if (!all.parts.empty()) VERGE_TRY(expect_op(","));
    if (at_tuple_end(o) || (!all.parts.empty() && is_op("="))) break;
    VERGE_ASSIGN(part, target_item(o));
    all.parts.push_back(std::move(part));
    if (!is_op(",")) break;
    all.tuple = true;
  }
  if (all.parts.empty()) return error("Expected an expression, got '{}'", describe_current());
  if (!all.tuple) return std::move(all.parts[0]);
  return all;
}

Result<ExprPtr> ExpressionParser::expression(bool conditional) {
  Level level(depth_);
  VERGE_TRY(check_depth());
  return conditional ? condition() : parse_or();
}

Result<ExprPtr> ExpressionParser::condition() {
  int line = current().line;
  size_t unknown = unknown_.size();
  VERGE_ASSIGN(value, parse_or());
  while (skip_name("if")) {
    bool outer = std::exchange(soft_, true);
    auto rest = condition_rest(std::move(value), line);
    soft_ = outer;
    if (!rest) return std::move(rest.error());
    value = std::move(*rest);
    unknown_.resize(unknown);  // the value stands in a condition's branch after all
  }
  return value;
}

// After "value if": the test and what follows else.
Result<ExprPtr> ExpressionParser::condition_rest(ExprPtr value, int line) {
  VERGE_ASSIGN(test, parse_or());
  ExprPtr other;
  if (skip_name("else")) {
    VERGE_ASSIGN(e, expression());
    other = std::move(e);
  }
  ExprPtr e = make(EK::Condition, line);
  add(*e, std::move(test));
  add(*e, std::move(value));
  add(*e, std::move(other));
  return made(std::move(e));
}

Result<ExprPtr> ExpressionParser::pair(EK kind, Operator op, ExprPtr left, ExprPtr right, int line) {
  ExprPtr e = make(kind, line);
  e->op = op;
  add(*e, std::move(left));
  add(*e, std::move(right));
  return made(std::move(e));
}

Result<ExprPtr> ExpressionParser::parse_or() {
  VERGE_ASSIGN(left, parse_and());
  while (is_name("or")) {
    int line = current().line;
    next();
    VERGE_ASSIGN(right, parse_and());
    VERGE_ASSIGN(e, pair(EK::Or, Operator::Add, std::move(left), std::move(right), line));
    left = std::move(e);
  }
  return left;
}

Result<ExprPtr> ExpressionParser::parse_and() {
  VERGE_ASSIGN(left, parse_not());
  while (is_name("and")) {
    int line = current().line;
    next();
    VERGE_ASSIGN(right, parse_not());
    VERGE_ASSIGN(e, pair(EK::And, Operator::Add, std::move(left), std::move(right), line));
    left = std::move(e);
  }
  return left;
}

Result<ExprPtr> ExpressionParser::parse_not() {
  if (!is_name("not")) return parse_compare();
  Level level(depth_);
  VERGE_TRY(check_depth());
  ExprPtr e = make(EK::Not, current().line);
  next();
  VERGE_ASSIGN(inner, parse_not());
  add(*e, std::move(inner));
  return made(std::move(e));
}

Result<ExprPtr> ExpressionParser::parse_compare() {
  int line = current().line;
  VERGE_ASSIGN(first, parse_math1());
  ExprPtr e;
  for (;;) {
    Operator op;
    if (skip_op("==")) op = Operator::Eq;
    else if (skip_op("!=")) op = Operator::Ne;
    else if (skip_op("<=")) op = Operator::Le;
    else if (skip_op("<")) op = Operator::Lt;
    else if (skip_op(">=")) op = Operator::Ge;
    else if (skip_op(">")) op = Operator::Gt;
    else if (skip_name("in")) op = Operator::In;
    else if (is_name("not") && look().type == Type::Name && look().text == "in") next(), next(), op = Operator::NotIn;
    else break;
    VERGE_ASSIGN(right, parse_math1());
    if (!e) {
      e = make(EK::Compare, line);
      add(*e, std::move(first));
    }
    e->ops.push_back(op);
    add(*e, std::move(right));
  }
  if (!e) return first;
  return made(std::move(e));
}

Result<ExprPtr> ExpressionParser::parse_math1() {
  VERGE_ASSIGN(left, parse_concat());
  while (is_op("+") || is_op("-")) {
    Operator op = is_op("+") ? Operator::Add : Operator::Sub;
    int line = current().line;
    next();
    VERGE_ASSIGN(right, parse_concat());
    VERGE_ASSIGN(e, pair(EK::Binary, op, std::move(left), std::move(right), line));
    left = std::move(e);
  }
  return left;
}

Result<ExprPtr> ExpressionParser::parse_concat() {
  int line = current().line;
  VERGE_ASSIGN(first, parse_math2());
  if (!is_op("~")) return first;
  ExprPtr e = make(EK::Concat, line);
  add(*e, std::move(first));
  while (skip_op("~")) {
    VERGE_ASSIGN(part, parse_math2());
    add(*e, std::move(part));
  }
  return made(std::move(e));
}

Result<ExprPtr> ExpressionParser::parse_math2() {
  VERGE_ASSIGN(left, parse_pow());
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    Operator op = is_op("*") ? Operator::Mul : is_op("/") ? Operator::Div : is_op("//") ? Operator::FloorDiv : Operator::Mod;
    int line = current().line;
    next();
    VERGE_ASSIGN(right, parse_pow());
    VERGE_ASSIGN(e, pair(EK::Binary, op, std::move(left), std::move(right), line));
    left = std::move(e);
  }
  return left;
}

Result<ExprPtr> ExpressionParser::parse_pow() {
  VERGE_ASSIGN(left, unary(true));
  while (is_op("**")) {
    int line = current().line;
    next();
    VERGE_ASSIGN(right, unary(true));
    VERGE_ASSIGN(e, pair(EK::Binary, Operator::Pow, std::move(left), std::move(right), line));
    left = std::move(e);
  }
  return left;
}

Result<ExprPtr> ExpressionParser::unary(bool with_filter) {
  ExprPtr node;
  if (is_op("-") || is_op("+")) {
    Level level(depth_);
    VERGE_TRY(check_depth());
    node = make(is_op("-") ? EK::Negative : EK::Positive, current().line);
    next();
    VERGE_ASSIGN(inner, unary(false));
    add(*node, std::move(inner));
  } else {
    VERGE_ASSIGN(inner, primary());
    node = std::move(inner);
  }
  VERGE_ASSIGN(postfixed, postfix(std::move(node)));
  if (!with_filter) return made(std::move(postfixed));
  return filter_expr(std::move(postfixed));
}

Result<ExprPtr> ExpressionParser::primary() {
  const Token& token = current();
  int line = token.line;
  switch (token.type) {
    case Type::Name: {
      ExprPtr e = make(EK::Const, line);
      if (token.text == "true" || token.text == "True") e->constant = Value::boolean(true);
      else if (token.text == "false" || token.text == "False") e->constant = Value::boolean(false);
      else if (token.text == "none" || token.text == "None") e->constant = Value::none();
      else {
        e->kind = EK::Name;
        e->name = intern(token.text);
        ++uses_[e->name];
      }
      next();
      return e;
    }
    case Type::String: {
      std::string text;
      for (; current().type == Type::String; next()) text += current().text;
      ExprPtr e = make(EK::Const, line);
      e->constant = Value::object(Kind::String, std::make_shared<StringObject>(
                                                    ForeignText(std::move(text)), false, nullptr));
      return e;
    }
    case Type::Integer:
    case Type::Float: {
      ExprPtr e = make(EK::Const, line);
      e->constant = token.type == Type::Integer ? Value::integer(token.integer) : Value::real(token.real);
      next();
      return e;
    }
    case Type::Operator:
      if (skip_op("(")) {
        VERGE_ASSIGN(e, nested_tuple());
        VERGE_TRY(expect_op(")"));
        return e;
      }
      if (is_op("[")) return list();
      if (is_op("{")) return dict();
      [[fallthrough]];
    default: return error("unexpected '{}'", describe_current());
  }
}

Result<ExprPtr> ExpressionParser::nested_tuple() {
  Level level(depth_);
  VERGE_TRY(check_depth());
  return tuple({.parentheses = true});
}

Result<ExprPtr> ExpressionParser::list() {
  ExprPtr e = make(EK::List, current().line);
  next();
  while (!is_op("]")) {
    if (!e->children.empty()) VERGE_TRY(expect_op(","));
    if (is_op("]")) break;
    VERGE_ASSIGN(item, expression());
    add(*e, std::move(item));
  }
  next();
  return made(std::move(e));
}

Result<ExprPtr> ExpressionParser::dict() {
  ExprPtr e = make(EK::Dict, current().line);
  next();
  while (!is_op("}")) {
    if (!e->children.empty()) VERGE_TRY(expect_op(","));
    if (is_op("}")) break;
    VERGE_ASSIGN(key, expression());
    VERGE_TRY(expect_op(":"));
    VERGE_ASSIGN(value, expression());
    add(*e, std::move(key));
    add(*e, std::move(value));
  }
  next();
  return made(std::move(e));
}

Result<ExprPtr> ExpressionParser::postfix(ExprPtr node) {
  for (;;) {
    if (is_op(".") || is_op("[")) {
      VERGE_ASSIGN(e, subscript(std::move(node)));
      node = std::move(e);
    } else if (is_op("(")) {
      VERGE_ASSIGN(e, call(std::move(node)));
      node = std::move(e);
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::filter_expr(ExprPtr node) {
  for (;;) {
    if (is_op("|")) {
      VERGE_ASSIGN(e, filters(std::move(node), false));
      node = std::move(e);
    } else if (is_name("is")) {
      VERGE_ASSIGN(e, test(std::move(node)));
      node = std::move(e);
    } else if (is_op("(")) {
      VERGE_ASSIGN(e, call(std::move(node)));
      node = std::move(e);
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::subscript(ExprPtr node) {
  int line = current().line;
  if (skip_op(".")) {
    if (current().type == Type::Name) {
      ExprPtr e = make(EK::Attribute, line);
      e->text = current().text;
      next();
      add(*e, std::move(node));
      return made(std::move(e));
    }
    if (current().type != Type::Integer) return error("expected name or number");
    ExprPtr key = make(EK::Const, line);
    key->constant = Value::integer(current().integer);
    next();
    return pair(EK::Item, Operator::Add, std::move(node), std::move(key), line);
  }
  next();  // [
  std::vector<ExprPtr> keys;
  bool sliced = false;
  while (!is_op("]")) {
    if (!keys.empty()) VERGE_TRY(expect_op(","));
    ExprPtr part;
    if (!is_op(":")) {
      VERGE_ASSIGN(e, expression());
      part = std::move(e);
    }
    if (!is_op(":")) {
      keys.push_back(std::move(part));
      continue;
    }
    if (!keys.empty() || sliced) return error("a slice in a tuple is not supported");
    sliced = true;
    ExprPtr e = make(EK::Slice, line);
    add(*e, std::move(node));
    add(*e, std::move(part));
    for (int i = 0; i < 2; ++i) {
      ExprPtr bound;
      if (skip_op(":") && !is_op(":") && !is_op("]") && !is_op(",")) {
        VERGE_ASSIGN(given, expression());
        bound = std::move(given);
      }
      add(*e, std::move(bound));
    }
    if (!is_op("]")) return is_op(",") ? error("a slice in a tuple is not supported") : expected("]");
    next();
    return made(std::move(e));
  }
  next();  // ]
  ExprPtr key;
  if (keys.size() == 1) {
    key = std::move(keys[0]);
  } else {
    key = make(EK::Tuple, line);
    for (auto& k : keys) add(*key, std::move(k));
  }
  return pair(EK::Item, Operator::Add, std::move(node), std::move(key), line);
}

Result<void> ExpressionParser::call_arguments(Expr& e) {
  VERGE_TRY(expect_op("("));
  Arguments& a = e.arguments;
  auto keep = [&e](ExprPtr value) {
    e.height = std::max(e.height, value->height + 1);
    return value;
  };
  bool comma = false;
  while (!is_op(")")) {
    if (comma) {
      VERGE_TRY(expect_op(","));
      if (is_op(")")) break;
    }
    comma = true;
    bool ordered = true;
    if (skip_op("*")) {
      ordered = !a.list && !a.dict;
      VERGE_ASSIGN(value, expression());
      a.list = keep(std::move(value));
    } else if (skip_op("**")) {
      ordered = !a.dict;
      VERGE_ASSIGN(value, expression());
      a.dict = keep(std::move(value));
    } else if (current().type == Type::Name && look().type == Type::Operator && look().text == "=") {
      ordered = !a.dict;
      std::string name = current().text;
      next(), next();
      VERGE_ASSIGN(value, expression());
      for (const auto& other : a.named) {
        if (other.first == name) return error("keyword argument repeated: {}", name);
      }
      a.named.emplace_back(std::move(name), keep(std::move(value)));
    } else {
      ordered = !a.list && !a.dict && a.named.empty();
      VERGE_ASSIGN(value, expression());
      a.positional.push_back(keep(std::move(value)));
    }
    if (!ordered) return error("invalid syntax for function call expression");
  }
  next();
  return {};
}

Result<ExprPtr> ExpressionParser::call(ExprPtr node) {
  ExprPtr e = make(EK::Call, current().line);
  add(*e, std::move(node));
  VERGE_TRY(call_arguments(*e));
  return made(std::move(e));
}

Result<std::string> ExpressionParser::dotted_name() {
  VERGE_ASSIGN(name, expect_name());
  while (skip_op(".")) {
    VERGE_ASSIGN(part, expect_name());
    name += "." + part;
  }
  return name;
}

// A chain of filters on `node`; null where there is none and `node` is null.
Result<ExprPtr> ExpressionParser::filters(ExprPtr node, bool inline_start) {
  while (inline_start || is_op("|")) {
    if (!inline_start) next();
    inline_start = false;
    ExprPtr e = make(EK::Filter, current().line);
    VERGE_ASSIGN(name, dotted_name());
    e->text = name;
    e->function = find_filter(name);
    if (filter_not_supported(name)) return error("the filter '{}' is not supported in chat templates", name);
    if (!e->function && !soft_) unknown_.push_back(error("No filter named '{}'.", name));
    add(*e, std::move(node));
    if (is_op("(")) VERGE_TRY(call_arguments(*e));
    VERGE_ASSIGN(checked, made(std::move(e)));
    node = std::move(checked);
  }
  return node;
}

Result<ExprPtr> ExpressionParser::test(ExprPtr node) {
  int line = current().line;
  next();  // is
  bool negated = skip_name("not");
  ExprPtr e = make(EK::Test, line);
  VERGE_ASSIGN(name, dotted_name());
  e->text = name;
  e->function = find_test(name);
  if (!e->function && !soft_) unknown_.push_back(error("No test named '{}'.", name));
  add(*e, std::move(node));
  Type t = current().type;
  bool starts = t == Type::Name || t == Type::String || t == Type::Integer || t == Type::Float || is_op("[") || is_op("{");
  if (is_op("(")) {
    VERGE_TRY(call_arguments(*e));
  } else if (starts && !is_name("else") && !is_name("or") && !is_name("and")) {
    if (is_name("is")) return error("You cannot chain multiple tests with is");
    VERGE_ASSIGN(argument, primary());
    VERGE_ASSIGN(full, postfix(std::move(argument)));
    e->height = std::max(e->height, full->height + 1);
    e->arguments.positional.push_back(std::move(full));
  }
  if (!negated) return made(std::move(e));
  ExprPtr inverse = make(EK::Not, line);
  add(*inverse, std::move(e));
  return made(std::move(inverse));
}

}  // namespace verge::engine::jinja
