#include "engine/templates/jinja_parser.h"

#include <algorithm>

#include "engine/templates/jinja_expressions.h"
#include "support/limits.h"

// Design: recursive descent, with the grammar of jinja2/parser.py; this is the half for statements.
// Names become indices, filters and tests function pointers, so that the interpreter looks nothing up
// by text.
namespace verge::engine::jinja {
namespace {

using SK = Stmt::Kind;

class Parser final : ExpressionParser {
 public:
  explicit Parser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

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
};

}  // namespace

Result<Template> parse(std::string_view source) {
  if (source.size() > limits::kTemplateBytes) return fail(Code::LoadFailed, "chat template of {} bytes, limit {}", source.size(), limits::kTemplateBytes);
  VERGE_ASSIGN(tokens, tokenize(source));
  return Parser(std::move(tokens)).run();
}

}  // namespace verge::engine::jinja
