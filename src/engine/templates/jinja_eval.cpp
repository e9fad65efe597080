#include "engine/templates/jinja_eval.h"

#include <algorithm>
#include <optional>

#include "engine/templates/jinja_filters.h"
#include "engine/templates/jinja_runtime.h"
#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// Design: a walk over the tree. A scope is a small list of (name, value) with a parent; the outermost
// has a slot for every name of the template. `if` makes no scope; a loop's body, a macro, a block
// assignment and the like do, so what they set is gone after them (templates use a namespace for the
// rest), as in Jinja.
//
// A macro refers to the scope it was defined in weakly: it can be called while that scope lives,
// which is always but for macros smuggled out through a namespace, and no cycle can form.
//
// Recursion of these functions is bounded by counting nodes in progress (kTemplateEvalDepth) and
// calls in progress (kTemplateDepth); the parts of eval() are kept out of line so that its own frame,
// the one that repeats, stays small.
namespace verge::engine::jinja {
namespace {

enum class Flow { Normal, Break, Continue };
using EK = Expr::Kind;
using SK = Stmt::Kind;

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<Value> slots;                  // outermost scope: by name
  std::vector<std::pair<int, Value>> named;  // others

  void set(int name, Value v) {
    if (!parent) {
      slots[static_cast<size_t>(name)] = std::move(v);
      return;
    }
    for (auto& [id, value] : named) {
      if (id == name) {
        value = std::move(v);
        return;
      }
    }
    named.emplace_back(name, std::move(v));
  }
};
using ScopePtr = std::shared_ptr<Scope>;

ScopePtr inner(const ScopePtr& parent) {
  auto s = std::make_shared<Scope>();
  s->parent = parent;
  return s;
}

class Interpreter;

// One running for: where it is, and what `loop` shows of it. Items are tested (`for … if`) one at a
// time, when needed: the body may change what the test looks at.
class Loop final : public LoopObject, public std::enable_shared_from_this<Loop> {
 public:
  Loop(Interpreter& in, const Stmt& node, const ScopePtr& outer, Items items, int level)
      : in_(in), node_(node), outer_(outer), items_(std::move(items)), level_(level) {}

  Result<bool> advance(Value& item);
  Result<Value> attribute(Runtime& rt, std::string_view name) override;
  Result<Value> call(Runtime& rt, const Args& args) override;
  // The loop has ended. What it remembers could hold the loop itself.
  void finish() {
    finished_ = true;
    changed_ = Value();
  }

 private:
  Result<bool> pull(Value& item);
  Result<bool> peek();
  Result<int64_t> length();

  Interpreter& in_;
  const Stmt& node_;
  std::weak_ptr<Scope> outer_;
  Items items_;
  size_t cursor_ = 0;
  std::vector<Value> buffered_;  // items already tested, because `length` was asked
  size_t buffered_next_ = 0;
  bool drained_ = false;
  Value before_, current_, after_;  // after_: looked at ahead of time
  bool ended_ = false;     // no item is left
  bool finished_ = false;  // the loop is over
  int64_t index_ = -1;
  std::optional<int64_t> length_;
  Value changed_;
  int level_;
};

class Interpreter {
 public:
  Interpreter(const Template& t, int64_t now_unix_s) : t_(t), rt_(now_unix_s) {}

  Result<ForeignText> run(const json::object& own, const json::object& client) {
    auto root = std::make_shared<Scope>();
    root->slots.resize(t_.names.size());
    for (size_t i = 0; i < t_.names.size(); ++i) {
      if (const json::value* given = client.if_contains(t_.names[i]))
        root->slots[i] = rt_.from_client(*given);
      else if (const json::value* text = own.if_contains(t_.names[i]))
        root->slots[i] = rt_.string(std::string_view(text->get_string()));
      else root->slots[i] = find_global(rt_, t_.names[i]);
    }
    ForeignText out;
    out_ = &out;
    auto flow = body(t_.body, root);
    if (!flow) return std::move(flow.error());
    return out;
  }

  Result<Flow> run_loop(const Stmt& s, const Value& iterable, const ScopePtr& outer, int level);
  Result<Value> captured_loop(const Stmt& s, const Value& iterable, const ScopePtr& outer, int level);
  Result<bool> passes(const Stmt& s, const Value& item, const ScopePtr& outer);

 private:
  // One more node or call in progress.
  struct Depth {
    explicit Depth(int& d) : depth(d) { ++depth; }
    ~Depth() { --depth; }
    int& depth;
  };
  Result<void> enter() {
    if (depth_ > limits::kTemplateEvalDepth) return fail(Code::InvalidInput, "the chat template nests deeper than {} steps", limits::kTemplateEvalDepth);
    return rt_.spend();
  }
  // Output written while alive goes to `text`.
  struct Capture {
    explicit Capture(Interpreter& i) : in(i), outer(std::exchange(i.out_, &text)) {}
    ~Capture() { in.out_ = outer; }
    Interpreter& in;
    ForeignText* outer;
    ForeignText text;
  };

  Result<void> emit(std::string_view text, std::span<const TextRange> foreign = {}) {
    if (out_->size() + text.size() > limits::kTemplateOutputBytes) {
      return fail(Code::InvalidInput, "the chat template's output is over {} bytes", limits::kTemplateOutputBytes);
    }
    out_->append(text, foreign, 0);
    return {};
  }
  Result<void> emit(const Value& v) {
    if (v.is(Kind::String)) return emit(v.text(), v.foreign());
    if (v.undefined()) return {};
    return rt_.append_repr(*out_, v);
  }

  Result<Flow> body(const Body& statements, const ScopePtr& scope) {
    for (const auto& s : statements) {
      auto flow = exec(*s, scope);
      if (!flow) {
        if (!located_ && !rt_.raised) {
          located_ = true;
          flow.error().message = fmt::format("chat template, line {}: {}", s->line, flow.error().message);
        }
        return flow;
      }
      if (*flow != Flow::Normal) return flow;
    }
    return Flow::Normal;
  }

  Result<Flow> exec(const Stmt& s, const ScopePtr& scope);
  Result<Flow> exec_if(const Stmt& s, const ScopePtr& scope);
  Result<Flow> exec_for(const Stmt& s, const ScopePtr& scope);
  Result<Flow> exec_capture(const Stmt& s, const ScopePtr& scope);
  Result<Flow> exec_call(const Stmt& s, const ScopePtr& scope);
  Result<Flow> exec_with(const Stmt& s, const ScopePtr& scope);
  Result<void> assign(const Target& target, Value v, const ScopePtr& scope);
  Value macro(const Macro& m, const ScopePtr& scope);
  Result<Value> invoke(const Macro& m, const std::weak_ptr<Scope>& defined, Args& args);

  Result<Value> eval(const Expr& e, const ScopePtr& scope);
  Result<Value> eval_collection(const Expr& e, const ScopePtr& scope);
  Result<Value> eval_operation(const Expr& e, const ScopePtr& scope);
  Result<Value> eval_concat(const Expr& e, const ScopePtr& scope);
  Result<Value> eval_compare(const Expr& e, const ScopePtr& scope);
  Result<Value> eval_access(const Expr& e, const ScopePtr& scope);
  Result<Value> eval_call(const Expr& e, const ScopePtr& scope, const Value* caller);
  Result<Value> eval_filter(const Expr& e, const ScopePtr& scope, const Value* inner_value);
  Result<Args> arguments(const Arguments& a, const ScopePtr& scope);
  Value lookup(int name, const ScopePtr& scope);

  const Template& t_;
  Runtime rt_;
  ForeignText* out_ = nullptr;
  int depth_ = 0;
  int calls_ = 0;
  bool located_ = false;  // the error already says its line
};

// ---- loops ----

Result<bool> Loop::pull(Value& item) {
  if (drained_) {
    if (buffered_next_ == buffered_.size()) return false;
    item = buffered_[buffered_next_++];
    return true;
  }
  while (cursor_ < items_.count) {
    const Value& candidate = items_.first[cursor_++];
    if (node_.exprs[1]) {
      ScopePtr outer = outer_.lock();
      if (!outer) return type_error("a loop is used after its end");
      VERGE_ASSIGN(good, in_.passes(node_, candidate, outer));
      if (!good) continue;
    }
    item = candidate;
    return true;
  }
  return false;
}

Result<bool> Loop::peek() {
  if (!after_.missing()) return true;
  if (ended_) return false;
  VERGE_ASSIGN(more, pull(after_));
  ended_ = !more;
  return more;
}

Result<bool> Loop::advance(Value& item) {
  VERGE_ASSIGN(more, peek());
  if (!more) return false;
  before_ = std::move(current_);
  current_ = std::exchange(after_, Value());
  item = current_;
  ++index_;
  return true;
}

Result<int64_t> Loop::length() {
  if (length_) return *length_;
  if (!node_.exprs[1]) return *(length_ = static_cast<int64_t>(items_.count));
  std::vector<Value> rest;
  for (Value item;;) {
    VERGE_ASSIGN(more, pull(item));
    if (!more) break;
    rest.push_back(item);
  }
  length_ = static_cast<int64_t>(rest.size()) + index_ + 1 + (after_.missing() ? 0 : 1);
  buffered_ = std::move(rest);
  buffered_next_ = 0;
  drained_ = true;
  return *length_;
}

Result<Value> Loop::attribute(Runtime& rt, std::string_view name) {
  if (name == "index") return Value::integer(index_ + 1);
  if (name == "index0") return Value::integer(index_);
  if (name == "first") return Value::boolean(index_ == 0);
  if (name == "depth") return Value::integer(level_ + 1);
  if (name == "depth0") return Value::integer(level_);
  if (name == "last") {
    VERGE_ASSIGN(more, peek());
    return Value::boolean(!more);
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    VERGE_ASSIGN(n, length());
    return Value::integer(name == "length" ? n : name == "revindex" ? n - index_ : n - index_ - 1);
  }
  if (name == "previtem") return index_ == 0 ? rt.undefined("there is no previous item") : before_;
  if (name == "nextitem") {
    VERGE_ASSIGN(more, peek());
    return more ? after_ : rt.undefined("there is no next item");
  }
  if (name == "cycle") {
    return rt.function("cycle", [index = index_](Runtime&, Args& args) -> Result<Value> {
      if (args.positional.empty()) return type_error("no items for cycling given");
      return args.positional[static_cast<size_t>(index) % args.positional.size()];
    });
  }
  if (name == "changed") {
    return rt.function("changed", [weak = weak_from_this()](Runtime& r, Args& args) -> Result<Value> {
      std::shared_ptr<Loop> self = weak.lock();
      if (!self || self->finished_) return type_error("a loop is used after its end");
      Value now = r.tuple(args.positional);
      if (!self->changed_.missing()) {
        VERGE_ASSIGN(same, r.equal(self->changed_, now));
        if (same) return Value::boolean(false);
      }
      self->changed_ = std::move(now);
      return Value::boolean(true);
    });
  }
  return Value();
}

Result<Value> Loop::call(Runtime&, const Args& args) {
  if (!node_.recursive) return type_error("The loop must have the 'recursive' marker to be called recursively.");
  VERGE_ASSIGN(a, args.bind("loop", {"iterable"}, 1));
  ScopePtr outer = outer_.lock();
  if (!outer) return type_error("a loop is used after its end");
  return in_.captured_loop(node_, a[0], outer, level_ + 1);
}

Result<bool> Interpreter::passes(const Stmt& s, const Value& item, const ScopePtr& outer) {
  ScopePtr scope = inner(outer);
  VERGE_TRY(assign(s.target, item, scope));
  VERGE_ASSIGN(v, eval(*s.exprs[1], scope));
  return truth(v);
}

Result<Value> Interpreter::captured_loop(const Stmt& s, const Value& iterable, const ScopePtr& outer, int level) {
  Depth depth(calls_);
  if (calls_ > limits::kTemplateDepth) return fail(Code::InvalidInput, "the chat template's loops recurse deeper than {}", limits::kTemplateDepth);
  Capture capture(*this);
  VERGE_TRY(run_loop(s, iterable, outer, level));
  return rt_.string(std::move(capture.text));
}

Result<Flow> Interpreter::run_loop(const Stmt& s, const Value& iterable, const ScopePtr& outer, int level) {
  VERGE_ASSIGN(items, rt_.iterate(iterable));
  auto loop = std::make_shared<Loop>(*this, s, outer, std::move(items), level);
  struct End {
    Loop& loop;
    ~End() { loop.finish(); }
  } end{*loop};
  Value shown = Value::object(Kind::Loop, loop);
  ScopePtr scope = inner(outer);
  bool any = false;
  for (Value item;;) {
    VERGE_ASSIGN(more, loop->advance(item));
    if (!more) break;
    VERGE_TRY(rt_.spend());
    scope->named.clear();
    if (s.uses_loop) scope->set(t_.loop, shown);
    VERGE_TRY(assign(s.target, std::move(item), scope));
    VERGE_ASSIGN(flow, body(s.body, scope));
    if (flow == Flow::Break) break;
    any = any || flow == Flow::Normal;  // as in the reference, a body that was cut short does not count
  }
  if (any || s.otherwise.empty()) return Flow::Normal;
  return body(s.otherwise, inner(outer));
}

// ---- statements ----

Result<Flow> Interpreter::exec(const Stmt& s, const ScopePtr& scope) {
  Depth depth(depth_);
  VERGE_TRY(enter());
  switch (s.kind) {
    case SK::Text: VERGE_TRY(emit(s.text)); return Flow::Normal;
    case SK::Output:
      for (const ExprPtr& e : s.exprs) {
        VERGE_ASSIGN(v, eval(*e, scope));
        VERGE_TRY(emit(v));
      }
      return Flow::Normal;
    case SK::If: return exec_if(s, scope);
    case SK::For: return exec_for(s, scope);
    case SK::Set: {
      VERGE_ASSIGN(v, eval(*s.exprs[0], scope));
      VERGE_TRY(assign(s.target, std::move(v), scope));
      return Flow::Normal;
    }
    case SK::Macro: scope->set(s.name, macro(*s.macro, scope)); return Flow::Normal;
    case SK::Call: return exec_call(s, scope);
    case SK::SetBlock:
    case SK::FilterBlock: return exec_capture(s, scope);
    case SK::With: return exec_with(s, scope);
    case SK::Scope: {
      VERGE_TRY(body(s.body, inner(scope)));
      return Flow::Normal;
    }
    case SK::Break: return Flow::Break;
    case SK::Continue: return Flow::Continue;
  }
  return Flow::Normal;
}

Result<Flow> Interpreter::exec_if(const Stmt& s, const ScopePtr& scope) {
  for (const auto& [test, statements] : s.branches) {
    if (test) {
      VERGE_ASSIGN(v, eval(*test, scope));
      if (!truth(v)) continue;
    }
    return body(statements, scope);
  }
  return Flow::Normal;
}

Result<Flow> Interpreter::exec_for(const Stmt& s, const ScopePtr& scope) {
  VERGE_ASSIGN(iterable, eval(*s.exprs[0], scope));
  return run_loop(s, iterable, scope, 0);
}

// {% set x %}…{% endset %} and {% filter f %}…{% endfilter %}.
Result<Flow> Interpreter::exec_capture(const Stmt& s, const ScopePtr& scope) {
  ScopePtr own = inner(scope);
  Value v;
  {
    Capture capture(*this);
    VERGE_TRY(body(s.body, own));
    v = rt_.string(std::move(capture.text));
  }
  if (s.exprs[0]) {
    VERGE_ASSIGN(filtered, eval_filter(*s.exprs[0], own, &v));
    v = std::move(filtered);
  }
  if (s.kind == SK::SetBlock) VERGE_TRY(assign(s.target, std::move(v), scope));
  else VERGE_TRY(emit(v));
  return Flow::Normal;
}

Result<Flow> Interpreter::exec_call(const Stmt& s, const ScopePtr& scope) {
  Value caller = macro(*s.macro, scope);
  VERGE_ASSIGN(v, eval_call(*s.exprs[0], scope, &caller));
  VERGE_TRY(emit(v));
  return Flow::Normal;
}

Result<Flow> Interpreter::exec_with(const Stmt& s, const ScopePtr& scope) {
  ScopePtr own = inner(scope);
  std::vector<Value> values;
  for (const ExprPtr& e : s.exprs) {
    VERGE_ASSIGN(v, eval(*e, scope));
    values.push_back(std::move(v));
  }
  for (size_t i = 0; i < values.size(); ++i) VERGE_TRY(assign(s.targets[i], std::move(values[i]), own));
  return body(s.body, own);
}

Result<void> Interpreter::assign(const Target& target, Value v, const ScopePtr& scope) {
  if (!target.tuple) {
    if (target.attribute.empty()) {
      scope->set(target.name, std::move(v));
      return {};
    }
    Value ns = lookup(target.name, scope);
    if (!ns.is(Kind::Namespace)) return type_error("cannot assign attribute on non-namespace object");
    if (target.attribute[0] == '_') return type_error("chat templates cannot store underscore-prefixed attributes on a namespace");
    auto& attributes = ns.mutable_as<NamespaceObject>().attributes;
    for (auto& [key, value] : attributes) {
      if (key == target.attribute) {
        value = std::move(v);
        return {};
      }
    }
    attributes.emplace_back(target.attribute, std::move(v));
    return {};
  }
  if (!is_iterable(v)) return type_error(fmt::format("cannot unpack non-iterable {} object", type_name(v)));
  VERGE_ASSIGN(items, rt_.iterate(v));
  if (items.count < target.parts.size()) {
    return type_error(fmt::format("not enough values to unpack (expected {}, got {})", target.parts.size(), items.count));
  }
  if (items.count > target.parts.size()) return type_error(fmt::format("too many values to unpack (expected {})", target.parts.size()));
  for (size_t i = 0; i < items.count; ++i) VERGE_TRY(assign(target.parts[i], items.first[i], scope));
  return {};
}

Value Interpreter::macro(const Macro& m, const ScopePtr& scope) {
  auto object = std::make_shared<FunctionObject>();
  object->name = m.name;
  object->macro = &m;
  object->call = [this, &m, defined = std::weak_ptr<Scope>(scope)](Runtime&, Args& args) { return invoke(m, defined, args); };
  return Value::object(Kind::Function, std::move(object));
}

Result<Value> Interpreter::invoke(const Macro& m, const std::weak_ptr<Scope>& defined, Args& args) {
  Depth depth(calls_);
  if (calls_ > limits::kTemplateDepth) return fail(Code::InvalidInput, "the chat template's macros call each other deeper than {}", limits::kTemplateDepth);
  ScopePtr parent = defined.lock();
  if (!parent) return type_error(fmt::format("macro '{}' is called outside the scope it was defined in", m.name));
  ScopePtr own = inner(parent);
  auto take = [&args](std::string_view name) {
    auto it = std::find_if(args.named.begin(), args.named.end(), [&](const auto& a) { return a.first == name; });
    if (it == args.named.end()) return Value();
    Value v = std::move(it->second);
    args.named.erase(it);
    return v;
  };
  size_t given = std::min(args.positional.size(), m.parameters.size());
  std::vector<Value> values(args.positional.begin(), args.positional.begin() + static_cast<ptrdiff_t>(given));
  for (size_t i = given; i < m.parameters.size(); ++i) values.push_back(take(t_.names[static_cast<size_t>(m.parameters[i])]));
  if (m.uses_caller) {
    Value caller = take("caller");
    own->set(m.caller, caller.missing() || caller.is(Kind::None) ? rt_.undefined("No caller defined") : caller);
  }
  if (m.uses_kwargs) {
    auto d = rt_.new_dict();
    // A name may come from **mapping.
    for (auto& [name, value] : args.named) d->set(rt_.string(ForeignText(name, true)), value);
    own->set(m.kwargs, rt_.dict(std::move(d)));
  } else if (!args.named.empty()) {
    return type_error(fmt::format("macro {} takes no keyword argument {}", text::repr(m.name), text::repr(args.named[0].first)));
  }
  if (m.uses_varargs) {
    own->set(m.varargs, rt_.tuple(std::vector<Value>(args.positional.begin() + static_cast<ptrdiff_t>(given), args.positional.end())));
  } else if (args.positional.size() > m.parameters.size()) {
    return type_error(fmt::format("macro {} takes not more than {} argument(s)", text::repr(m.name), m.parameters.size()));
  }
  size_t first_default = m.parameters.size() - m.defaults.size();
  for (size_t i = 0; i < m.parameters.size(); ++i) {
    if (values[i].missing()) {
      if (i < first_default) {
        values[i] = rt_.undefined(fmt::format("parameter {} was not provided", text::repr(t_.names[static_cast<size_t>(m.parameters[i])])));
      } else {
        VERGE_ASSIGN(v, eval(*m.defaults[i - first_default], own));
        values[i] = std::move(v);
      }
    }
    own->set(m.parameters[i], std::move(values[i]));
  }
  Capture capture(*this);
  VERGE_TRY(body(m.body, own));
  return rt_.string(std::move(capture.text));
}

// ---- expressions ----

Value Interpreter::lookup(int name, const ScopePtr& scope) {
  for (const Scope* s = scope.get(); s; s = s->parent.get()) {
    if (!s->parent) {
      if (!s->slots[static_cast<size_t>(name)].missing()) return s->slots[static_cast<size_t>(name)];
      break;
    }
    for (const auto& [id, value] : s->named) {
      if (id == name) return value;
    }
  }
  return rt_.undefined(fmt::format("{} is undefined", text::repr(t_.names[static_cast<size_t>(name)])));
}

Result<Value> Interpreter::eval(const Expr& e, const ScopePtr& scope) {
  Depth depth(depth_);
  VERGE_TRY(enter());
  switch (e.kind) {
    case EK::Const: return e.constant;
    case EK::Name: return lookup(e.name, scope);
    case EK::List:
    case EK::Tuple:
    case EK::Dict: return eval_collection(e, scope);
    case EK::Not:
    case EK::Negative:
    case EK::Positive:
    case EK::And:
    case EK::Or:
    case EK::Binary:
    case EK::Condition: return eval_operation(e, scope);
    case EK::Concat: return eval_concat(e, scope);
    case EK::Compare: return eval_compare(e, scope);
    case EK::Attribute:
    case EK::Item:
    case EK::Slice: return eval_access(e, scope);
    case EK::Call: return eval_call(e, scope, nullptr);
    case EK::Filter:
    case EK::Test: return eval_filter(e, scope, nullptr);
  }
  return Value::none();
}

[[gnu::noinline]] Result<Value> Interpreter::eval_collection(const Expr& e, const ScopePtr& scope) {
  std::vector<Value> items;
  items.reserve(e.children.size());
  for (const ExprPtr& child : e.children) {
    VERGE_ASSIGN(v, eval(*child, scope));
    items.push_back(std::move(v));
  }
  if (e.kind == EK::List) return rt_.list(std::move(items));
  if (e.kind == EK::Tuple) return rt_.tuple(std::move(items));
  auto d = rt_.new_dict();
  for (size_t i = 0; i < items.size(); i += 2) {
    if (!hashable(items[i])) return type_error(fmt::format("unhashable type: '{}'", type_name(items[i])));
    d->set(std::move(items[i]), std::move(items[i + 1]));
  }
  return rt_.dict(std::move(d));
}

[[gnu::noinline]] Result<Value> Interpreter::eval_operation(const Expr& e, const ScopePtr& scope) {
  VERGE_ASSIGN(first, eval(*e.children[0], scope));
  switch (e.kind) {
    case EK::Not: return Value::boolean(!truth(first));
    case EK::Negative:
    case EK::Positive: return rt_.negate(first, e.kind == EK::Positive);
    case EK::And: return truth(first) ? eval(*e.children[1], scope) : first;
    case EK::Or: return truth(first) ? first : eval(*e.children[1], scope);
    case EK::Condition: {
      if (truth(first)) return eval(*e.children[1], scope);
      if (e.children[2]) return eval(*e.children[2], scope);
      return rt_.undefined(fmt::format("the inline if-expression on line {} evaluated to false and no else section was defined.", e.line));
    }
    default: {
      VERGE_ASSIGN(second, eval(*e.children[1], scope));
      return rt_.binary(e.op, first, second);
    }
  }
}

[[gnu::noinline]] Result<Value> Interpreter::eval_concat(const Expr& e, const ScopePtr& scope) {
  ForeignText out;
  for (const ExprPtr& child : e.children) {
    VERGE_ASSIGN(v, eval(*child, scope));
    VERGE_TRY(rt_.append_str(out, v));
  }
  return rt_.string(std::move(out));
}

[[gnu::noinline]] Result<Value> Interpreter::eval_compare(const Expr& e, const ScopePtr& scope) {
  VERGE_ASSIGN(left, eval(*e.children[0], scope));
  for (size_t i = 0;; ++i) {
    VERGE_ASSIGN(right, eval(*e.children[i + 1], scope));
    VERGE_ASSIGN(result, rt_.binary(e.ops[i], left, right));
    if (i + 1 == e.ops.size() || !truth(result)) return result;
    left = std::move(right);
  }
}

[[gnu::noinline]] Result<Value> Interpreter::eval_access(const Expr& e, const ScopePtr& scope) {
  VERGE_ASSIGN(v, eval(*e.children[0], scope));
  if (e.kind == EK::Attribute) return rt_.attribute(v, e.text);
  if (e.kind == EK::Item) {
    VERGE_ASSIGN(key, eval(*e.children[1], scope));
    return rt_.item(v, key);
  }
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!e.children[i + 1]) continue;
    VERGE_ASSIGN(bound, eval(*e.children[i + 1], scope));
    bounds[i] = std::move(bound);
  }
  return rt_.slice(v, bounds[0], bounds[1], bounds[2]);
}

[[gnu::noinline]] Result<Args> Interpreter::arguments(const Arguments& a, const ScopePtr& scope) {
  Args args;
  for (const ExprPtr& e : a.positional) {
    VERGE_ASSIGN(v, eval(*e, scope));
    args.positional.push_back(std::move(v));
  }
  for (const auto& [name, e] : a.named) {
    VERGE_ASSIGN(v, eval(*e, scope));
    args.named.emplace_back(name, std::move(v));
  }
  if (a.list) {
    VERGE_ASSIGN(v, eval(*a.list, scope));
    VERGE_ASSIGN(items, rt_.iterate(v));
    args.positional.insert(args.positional.end(), items.begin(), items.end());
  }
  if (a.dict) {
    VERGE_ASSIGN(v, eval(*a.dict, scope));
    if (!v.is(Kind::Dict)) return type_error("argument after ** must be a mapping");
    for (const auto& [key, value] : v.as<DictObject>().entries) {
      if (!key.is(Kind::String)) return type_error("keywords must be strings");
      for (const auto& other : args.named) {
        if (other.first == key.text()) return type_error(fmt::format("got multiple values for keyword argument '{}'", other.first));
      }
      args.named.emplace_back(std::string(key.text()), value);
    }
  }
  return args;
}

[[gnu::noinline]] Result<Value> Interpreter::eval_call(const Expr& e, const ScopePtr& scope, const Value* caller) {
  const Expr& callee = *e.children[0];
  bool method = callee.kind == EK::Attribute;
  VERGE_ASSIGN(target, eval(method ? *callee.children[0] : callee, scope));
  VERGE_ASSIGN(args, arguments(e.arguments, scope));
  if (caller) args.named.emplace_back("caller", *caller);
  return method ? rt_.call_method(target, callee.text, args) : rt_.call(target, args);
}

[[gnu::noinline]] Result<Value> Interpreter::eval_filter(const Expr& e, const ScopePtr& scope, const Value* inner_value) {
  Value v;
  if (!e.children[0]) {
    v = *inner_value;  // the text of a filter block
  } else if (inner_value) {
    VERGE_ASSIGN(earlier, eval_filter(*e.children[0], scope, inner_value));
    v = std::move(earlier);
  } else {
    VERGE_ASSIGN(input, eval(*e.children[0], scope));
    v = std::move(input);
  }
  VERGE_ASSIGN(args, arguments(e.arguments, scope));
  if (!e.function) return type_error(fmt::format("No {} named '{}' found.", e.kind == EK::Filter ? "filter" : "test", e.text));
  VERGE_TRY(rt_.spend());
  return e.function(rt_, v, args);
}

}  // namespace

Result<ForeignText> render(const Template& t, const json::object& own, const json::object& client,
                           int64_t now_unix_s) {
  return Interpreter(t, now_unix_s).run(own, client);
}

}  // namespace verge::engine::jinja
