// The expression half of the parser, and the token stream that both halves read.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/templates/jinja_ast.h"
#include "engine/templates/jinja_lexer.h"
#include "support/limits.h"

namespace verge::engine::jinja {

// Each function is the namesake of one in jinja2/parser.py.
class ExpressionParser {
 protected:
  using Type = Token::Type;
  using EK = Expr::Kind;

  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[pos_]; }
  const Token& look() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  void next() { if (pos_ + 1 < tokens_.size()) ++pos_; }
  bool is_op(std::string_view op) const { return current().type == Type::Operator && current().text == op; }
  bool is_name(std::string_view name) const { return current().type == Type::Name && current().text == name; }
  bool skip_op(std::string_view op) { return is_op(op) ? (next(), true) : false; }
  bool skip_name(std::string_view name) { return is_name(name) ? (next(), true) : false; }

  template <class... A>
  Error error(fmt::format_string<A...> format, A&&... args) const {
    return fail(Code::LoadFailed, "chat template, line {}: {}", current().line, fmt::format(format, std::forward<A>(args)...));
  }
  std::string describe_current() const {
    switch (current().type) {
      case Type::Data: return "template data / text";
      case Type::BlockBegin: return "begin of statement block";
      case Type::BlockEnd: return "end of statement block";
      case Type::VariableBegin: return "begin of print statement";
      case Type::VariableEnd: return "end of print statement";
      case Type::String: return "string";
      case Type::Integer: return "integer";
      case Type::Float: return "float";
      case Type::End: return "end of template";
      default: return current().text;
    }
  }
  Error expected(std::string_view what) const { return error("expected token '{}', got '{}'", what, describe_current()); }
  Result<void> expect_op(std::string_view op) { return skip_op(op) ? Result<void>() : Result<void>(expected(op)); }
  Result<void> expect(Type type, std::string_view what) {
    if (current().type != type) return expected(what);
    next();
    return {};
  }
  Result<std::string> expect_name() {
    if (current().type != Type::Name) return expected("name");
    std::string name = current().text;
    next();
    return name;
  }

  int intern(std::string_view name) {
    auto [it, added] = index_.try_emplace(std::string(name), static_cast<int>(names_.size()));
    if (added) names_.emplace_back(name);
    return it->second;
  }

  // Descending one level of nesting; undone by the destructor.
  struct Level {
    explicit Level(int& d) : depth(d) { ++depth; }
    ~Level() { --depth; }
    int& depth;
  };
  Result<void> check_depth() const {
    if (depth_ > limits::kTemplateSyntaxDepth) return error("nested deeper than {} levels", limits::kTemplateSyntaxDepth);
    return {};
  }

  ExprPtr make(EK kind, int line) const {
    auto e = std::make_unique<Expr>();
    e->kind = kind;
    e->line = line;
    return e;
  }
  // Adds a child (may be null) and keeps the height.
  static void add(Expr& e, ExprPtr child) {
    if (child) e.height = std::max(e.height, child->height + 1);
    e.children.push_back(std::move(child));
  }
  Result<ExprPtr> made(ExprPtr e) const {
    if (e->height > limits::kTemplateSyntaxDepth * 2) return error("expression nested deeper than {} levels", limits::kTemplateSyntaxDepth * 2);
    return e;
  }

  struct TupleOptions {
    bool simple = false;       // only names and literals: assignment targets
    bool conditional = true;   // "a if b else c" allowed
    bool parentheses = false;  // an empty one is allowed
    bool namespaces = false;   // ns.x allowed in targets
    std::string_view end = {};  // a name that ends it
  };

  bool at_tuple_end(const TupleOptions& o) const;
  Result<ExprPtr> tuple(TupleOptions o);
  Result<Target> target_item(const TupleOptions& o);
  Result<Target> assign_target(TupleOptions o);
  Result<ExprPtr> expression(bool conditional = true);
  Result<ExprPtr> condition();
  // After "value if": the test and what follows else.
  Result<ExprPtr> condition_rest(ExprPtr value, int line);
  Result<ExprPtr> pair(EK kind, Operator op, ExprPtr left, ExprPtr right, int line);
  Result<ExprPtr> parse_or();
  Result<ExprPtr> parse_and();
  Result<ExprPtr> parse_not();
  Result<ExprPtr> parse_compare();
  Result<ExprPtr> parse_math1();
  Result<ExprPtr> parse_concat();
  Result<ExprPtr> parse_math2();
  Result<ExprPtr> parse_pow();
  Result<ExprPtr> unary(bool with_filter);
  Result<ExprPtr> primary();
  Result<ExprPtr> nested_tuple();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> postfix(ExprPtr node);
  Result<ExprPtr> filter_expr(ExprPtr node);
  Result<ExprPtr> subscript(ExprPtr node);
  Result<void> call_arguments(Expr& e);
  Result<ExprPtr> call(ExprPtr node);
  Result<std::string> dotted_name();
  // A chain of filters on `node`; null where there is none and `node` is null.
  Result<ExprPtr> filters(ExprPtr node, bool inline_start);
  Result<ExprPtr> test(ExprPtr node);

  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int depth_ = 0;
  int loops_ = 0;      // loops around this place, inside its macro
  bool soft_ = false;  // in a condition or its branches
  std::vector<Error> unknown_;  // unknown filters and tests outside any condition
  std::vector<std::string> names_;
  std::map<std::string, int, std::less<>> index_;
  std::map<int, int> uses_;  // name -> how often it was read
};

}  // namespace verge::engine::jinja
