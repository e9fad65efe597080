#include "engine/tokenizers/jinja_parser.h"

#include <algorithm>
#include <map>

#include "engine/tokenizers/jinja_filters.h"
#include "engine/tokenizers/jinja_lexer.h"
#include "engine/tokenizers/jinja_text.h"
#include "support/limits.h"

// Design: recursive descent, with the grammar and the precedences of jinja2/parser.py (each function
// here has its namesake there). Names become indices, filters and tests function pointers, so that
// the interpreter looks nothing up by text. Nesting is limited while descending, and the height of
// what loops build (a + b + c …) when a node is made.
//
// As in the reference, an unknown filter is a syntax error unless it stands in a condition or its
// branches, where templates guard filters that other hosts have: there it is an error only when run.
namespace verge::engine::jinja {
namespace {

using Type = Token::Type;
using EK = Expr::Kind;
using SK = Stmt::Kind;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<Template> run() {
    VERGE_ASSIGN(body, statements({}));
    if (!unknown_.empty()) return std::move(unknown_.front());
    Template t;
    t.body = std::move(body);
    t.loop = intern("loop");
    t.names = std::move(names_);
    return t;
  }

 private:
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

  // ---- statements ----

  bool at_end_tag(std::initializer_list<std::string_view> ends) const {
    return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return is_name(end); });
  }

  // Statements up to one of the end tags, whose name is then current; up to the end of the template
  // where none is given.
  Result<Body> statements(std::initializer_list<std::string_view> ends) {
    Level level(depth_);
    VERGE_TRY(check_depth());
    Body body;
    for (;;) {
      switch (current().type) {
        case Type::End:
          if (ends.size() > 0) return error("Unexpected end of template. Jinja was looking for the tag '{}'.", *ends.begin());
          return body;
        case Type::Data: {
          auto s = statement_node(SK::Text);
          s->text = current().text;
          body.push_back(std::move(s));
          next();
          break;
        }
        case Type::VariableBegin: {
          next();
          auto s = statement_node(SK::Output);
          VERGE_ASSIGN(e, tuple({}));
          VERGE_TRY(expect(Type::VariableEnd, "end of print statement"));
          s->exprs.push_back(std::move(e));
          body.push_back(std::move(s));
          break;
        }
        case Type::BlockBegin: {
          next();
          if (at_end_tag(ends)) return body;
          VERGE_ASSIGN(s, statement());
          body.push_back(std::move(s));
          VERGE_TRY(expect(Type::BlockEnd, "end of statement block"));
          break;
        }
        default: return error("unexpected '{}'", describe_current());
      }
    }
  }

  // The body of a block statement: from the end of its opening tag to one of `ends`.
  Result<Body> block(std::initializer_list<std::string_view> ends) {
    skip_op(":");
    VERGE_TRY(expect(Type::BlockEnd, "end of statement block"));
    return statements(ends);
  }

  std::unique_ptr<Stmt> statement_node(SK kind) const {
    auto s = std::make_unique<Stmt>();
    s->kind = kind;
    s->line = current().line;
    return s;
  }

  Result<std::unique_ptr<Stmt>> statement() {
    if (current().type != Type::Name) return error("tag name expected");
    const std::string tag = current().text;
    if (tag == "if") return parse_if();
    if (tag == "for") return parse_for();
    if (tag == "set") return parse_set();
    if (tag == "macro") return parse_macro();
    if (tag == "call") return parse_call_block();
    if (tag == "filter") return parse_filter_block();
    if (tag == "with") return parse_with();
    if (tag == "print") {
      auto s = statement_node(SK::Output);
      next();
      while (current().type != Type::BlockEnd) {
        if (!s->exprs.empty()) VERGE_TRY(expect_op(","));
        VERGE_ASSIGN(e, expression());
        s->exprs.push_back(std::move(e));
      }
      return s;
    }
    if (tag == "generation") {  // transformers' mark of the assistant's own text: its body, in a scope of its own
      auto s = statement_node(SK::Scope);
      next();
      Outer outer(*this);
      loops_ = 0;
      VERGE_ASSIGN(body, block({"endgeneration"}));
      s->body = std::move(body);
      next();
      return s;
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) return error("'{}' outside a loop", tag);
      auto s = statement_node(tag == "break" ? SK::Break : SK::Continue);
      next();
      return s;
    }
    for (std::string_view known : {"block", "extends", "include", "import", "from", "autoescape", "do", "trans", "debug"}) {
      if (tag == known) return error("the tag '{}' is not supported in chat templates", tag);
    }
    return error("Encountered unknown tag '{}'.", tag);
  }

  Result<std::unique_ptr<Stmt>> parse_if() {
    auto s = statement_node(SK::If);
    bool outer = std::exchange(soft_, true);
    Result<void> status = if_branches(*s);
    soft_ = outer;
    VERGE_TRY(std::move(status));
    return s;
  }

  Result<void> if_branches(Stmt& s) {
    next();
    for (;;) {
      VERGE_ASSIGN(test, tuple({.conditional = false}));
      VERGE_ASSIGN(body, block({"elif", "else", "endif"}));
      s.branches.emplace_back(std::move(test), std::move(body));
      if (skip_name("elif")) continue;
      if (skip_name("else")) {
        VERGE_ASSIGN(otherwise, block({"endif"}));
        s.branches.emplace_back(nullptr, std::move(otherwise));
      }
      next();  // endif
      return {};
    }
  }

  // State that a new frame starts afresh, given back at its end.
  struct Outer {
    explicit Outer(Parser& p) : parser(p), soft(std::exchange(p.soft_, false)), loops(p.loops_) {}
    ~Outer() { parser.soft_ = soft, parser.loops_ = loops; }
    Parser& parser;
    bool soft;
    int loops;
  };

  Result<std::unique_ptr<Stmt>> parse_for() {
    auto s = statement_node(SK::For);
    next();
    VERGE_ASSIGN(target, assign_target({.simple = true, .end = "in"}));
    if (mentions_loop(target)) return error("Can't assign to special loop variable in for-loop target");
    s->target = std::move(target);
    if (!skip_name("in")) return expected("in");
    VERGE_ASSIGN(iterable, tuple({.conditional = false, .end = "recursive"}));
    Outer outer(*this);
    ExprPtr test;
    if (skip_name("if")) {
      VERGE_ASSIGN(e, expression());
      test = std::move(e);
    }
    s->recursive = skip_name("recursive");
    s->exprs.push_back(std::move(iterable));
    s->exprs.push_back(std::move(test));
    ++loops_;
    int loop = intern("loop");
    int before = uses_[loop];
    VERGE_ASSIGN(body, block({"endfor", "else"}));
    s->uses_loop = s->recursive || uses_[loop] > before;
    s->body = std::move(body);
    loops_ = outer.loops;
    if (skip_name("else")) {
      VERGE_ASSIGN(otherwise, block({"endfor"}));
      s->otherwise = std::move(otherwise);
    }
    next();  // endfor
    return s;
  }

  bool mentions_loop(const Target& t) {
    return t.name == intern("loop") || std::any_of(t.parts.begin(), t.parts.end(), [this](const Target& p) { return mentions_loop(p); });
  }

  Result<std::unique_ptr<Stmt>> parse_set() {
    auto s = statement_node(SK::Set);
    next();
    VERGE_ASSIGN(target, assign_target({.simple = true, .namespaces = true}));
    s->target = std::move(target);
    if (skip_op("=")) {
      VERGE_ASSIGN(e, tuple({}));
      s->exprs.push_back(std::move(e));
      return s;
    }
    s->kind = SK::SetBlock;
    VERGE_ASSIGN(filter, filters(nullptr, false));
    s->exprs.push_back(std::move(filter));
    Outer outer(*this);
    VERGE_ASSIGN(body, block({"endset"}));
    s->body = std::move(body);
    next();
    return s;
  }

  Result<void> signature(Macro& m) {
    VERGE_TRY(expect_op("("));
    while (!is_op(")")) {
      if (!m.parameters.empty()) VERGE_TRY(expect_op(","));
      VERGE_ASSIGN(name, expect_name());
      int id = intern(name);
      if (std::find(m.parameters.begin(), m.parameters.end(), id) != m.parameters.end()) return error("duplicate argument '{}' in macro definition", name);
      m.parameters.push_back(id);
      if (skip_op("=")) {
        VERGE_ASSIGN(e, expression());
        m.defaults.push_back(std::move(e));
      } else if (!m.defaults.empty()) {
        return error("non-default argument follows default argument");
      }
    }
    next();
    return {};
  }

  // A macro's body, noting which of the special variables it mentions and does not declare.
  Result<void> macro_body(Macro& m, std::string_view end) {
    Outer outer(*this);
    loops_ = 0;
    m.caller = intern("caller");
    m.kwargs = intern("kwargs");
    m.varargs = intern("varargs");
    int caller = uses_[m.caller], kwargs = uses_[m.kwargs], varargs = uses_[m.varargs];
    VERGE_ASSIGN(body, block({end}));
    auto declared = [&](int id) { return std::find(m.parameters.begin(), m.parameters.end(), id) != m.parameters.end(); };
    m.uses_caller = uses_[m.caller] > caller && !declared(m.caller);
    m.uses_kwargs = uses_[m.kwargs] > kwargs && !declared(m.kwargs);
    m.uses_varargs = uses_[m.varargs] > varargs && !declared(m.varargs);
    m.body = std::move(body);
    next();  // the end tag
    return {};
  }

  Result<std::unique_ptr<Stmt>> parse_macro() {
    auto s = statement_node(SK::Macro);
    next();
    s->macro = std::make_unique<Macro>();
    VERGE_ASSIGN(name, expect_name());
    s->macro->name = name;
    s->name = intern(name);
    VERGE_TRY(signature(*s->macro));
    VERGE_TRY(macro_body(*s->macro, "endmacro"));
    return s;
  }

  Result<std::unique_ptr<Stmt>> parse_call_block() {
    auto s = statement_node(SK::Call);
    next();
    s->macro = std::make_unique<Macro>();
    s->macro->name = "caller";
    if (is_op("(")) VERGE_TRY(signature(*s->macro));
    VERGE_ASSIGN(call, expression());
    if (call->kind != EK::Call) return error("expected call");
    s->exprs.push_back(std::move(call));
    VERGE_TRY(macro_body(*s->macro, "endcall"));
    return s;
  }

  Result<std::unique_ptr<Stmt>> parse_filter_block() {
    auto s = statement_node(SK::FilterBlock);
    next();
    Outer outer(*this);
    VERGE_ASSIGN(filter, filters(nullptr, true));
    s->exprs.push_back(std::move(filter));
    VERGE_ASSIGN(body, block({"endfilter"}));
    s->body = std::move(body);
    next();
    return s;
  }

  Result<std::unique_ptr<Stmt>> parse_with() {
    auto s = statement_node(SK::With);
    next();
    Outer outer(*this);
    while (current().type != Type::BlockEnd) {
      if (!s->targets.empty()) VERGE_TRY(expect_op(","));
      VERGE_ASSIGN(target, assign_target({.simple = true}));
      VERGE_TRY(expect_op("="));
      VERGE_ASSIGN(value, expression());
      s->targets.push_back(std::move(target));
      s->exprs.push_back(std::move(value));
    }
    VERGE_ASSIGN(body, block({"endwith"}));
    s->body = std::move(body);
    next();
    return s;
  }

  // ---- expressions ----

  struct TupleOptions {
    bool simple = false;       // only names and literals: assignment targets
    bool conditional = true;   // "a if b else c" allowed
    bool parentheses = false;  // an empty one is allowed
    bool namespaces = false;   // ns.x allowed in targets
    std::string_view end = {};  // a name that ends it
  };

  bool at_tuple_end(const TupleOptions& o) const {
    return current().type == Type::VariableEnd || current().type == Type::BlockEnd || is_op(")") || (!o.end.empty() && is_name(o.end));
  }

  Result<ExprPtr> tuple(TupleOptions o) {
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

  Result<Target> target_item(const TupleOptions& o) {
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

  Result<Target> assign_target(TupleOptions o) {
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

  Result<ExprPtr> expression(bool conditional = true) {
    Level level(depth_);
    VERGE_TRY(check_depth());
    return conditional ? condition() : parse_or();
  }

  Result<ExprPtr> condition() {
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
  Result<ExprPtr> condition_rest(ExprPtr value, int line) {
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

  Result<ExprPtr> pair(EK kind, Operator op, ExprPtr left, ExprPtr right, int line) {
    ExprPtr e = make(kind, line);
    e->op = op;
    add(*e, std::move(left));
    add(*e, std::move(right));
    return made(std::move(e));
  }

  Result<ExprPtr> parse_or() {
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

  Result<ExprPtr> parse_and() {
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

  Result<ExprPtr> parse_not() {
    if (!is_name("not")) return parse_compare();
    Level level(depth_);
    VERGE_TRY(check_depth());
    ExprPtr e = make(EK::Not, current().line);
    next();
    VERGE_ASSIGN(inner, parse_not());
    add(*e, std::move(inner));
    return made(std::move(e));
  }

  Result<ExprPtr> parse_compare() {
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

  Result<ExprPtr> parse_math1() {
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

  Result<ExprPtr> parse_concat() {
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

  Result<ExprPtr> parse_math2() {
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

  Result<ExprPtr> parse_pow() {
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

  Result<ExprPtr> unary(bool with_filter) {
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

  Result<ExprPtr> primary() {
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
        e->constant = Value::object(Kind::String, std::make_shared<StringObject>(std::move(text), false, nullptr));
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

  Result<ExprPtr> nested_tuple() {
    Level level(depth_);
    VERGE_TRY(check_depth());
    return tuple({.parentheses = true});
  }

  Result<ExprPtr> list() {
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

  Result<ExprPtr> dict() {
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

  Result<ExprPtr> postfix(ExprPtr node) {
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

  Result<ExprPtr> filter_expr(ExprPtr node) {
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

  Result<ExprPtr> subscript(ExprPtr node) {
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

  Result<void> call_arguments(Expr& e) {
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

  Result<ExprPtr> call(ExprPtr node) {
    ExprPtr e = make(EK::Call, current().line);
    add(*e, std::move(node));
    VERGE_TRY(call_arguments(*e));
    return made(std::move(e));
  }

  Result<std::string> dotted_name() {
    VERGE_ASSIGN(name, expect_name());
    while (skip_op(".")) {
      VERGE_ASSIGN(part, expect_name());
      name += "." + part;
    }
    return name;
  }

  // A chain of filters on `node`; null where there is none and `node` is null.
  Result<ExprPtr> filters(ExprPtr node, bool inline_start) {
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

  Result<ExprPtr> test(ExprPtr node) {
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

}  // namespace

Result<Template> parse(std::string_view source) {
  if (source.size() > limits::kTemplateBytes) return fail(Code::LoadFailed, "chat template of {} bytes, limit {}", source.size(), limits::kTemplateBytes);
  VERGE_ASSIGN(tokens, tokenize(source));
  return Parser(std::move(tokens)).run();
}

}  // namespace verge::engine::jinja
