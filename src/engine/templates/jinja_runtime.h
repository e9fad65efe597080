// Python's operations on template values, under the limits of one rendering. Knows nothing of syntax:
// the interpreter, the filters, tests and methods are built on it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/templates/jinja_value.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine::jinja {

using Method = Result<Value> (*)(Runtime&, const Value& self, const Args& args);

enum class Operator : uint8_t { Add, Sub, Mul, Div, FloorDiv, Mod, Pow, Eq, Ne, Lt, Le, Gt, Ge, In, NotIn };

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ", key_separator = ": ";
};

// A walk over an iterable's items. Holds them alive.
struct Items {
  std::shared_ptr<const Object> held;
  const Value* first = nullptr;
  size_t count = 0;
  const Value* begin() const { return first; }
  const Value* end() const { return first + count; }
};

// A running `for`; the interpreter has the one implementation.
struct LoopObject : Object {
  virtual Result<Value> attribute(Runtime& rt, std::string_view name) = 0;
  virtual Result<Value> call(Runtime& rt, const Args& args) = 0;  // loop(items) of a recursive loop
};

class Runtime {
 public:
  explicit Runtime(int64_t now_unix_s) : now_unix_s_(now_unix_s) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  // Counts work; fails once the steps, the memory or the nesting of values are past their limits.
  Result<void> spend(size_t steps = 1);
  // Fails if a text or list of this size would be too large: asked before it is made.
  Result<void> reserve(size_t bytes);

  Value string(ForeignText text, bool markup = false);
  // Texts of the template's own.
  Value string(std::string text, bool markup = false) {
    return string(ForeignText(std::move(text)), markup);
  }
  Value string(std::string_view text, bool markup = false) { return string(std::string(text), markup); }
  Value string(const char* text) { return string(std::string(text)); }
  // A view of `whole`'s text as a value of its own, with what is known of these bytes.
  Value part(const Value& whole, std::string_view view);
  Value list(std::vector<Value> items);
  Value tuple(std::vector<Value> items, std::string name = {});
  Value view(const char* type, std::vector<Value> items);
  Value iterator(std::vector<Value> items, const char* type = "generator");
  std::shared_ptr<DictObject> new_dict() { return std::make_shared<DictObject>(&budget_); }
  Value dict(std::shared_ptr<DictObject> d) { return Value::object(Kind::Dict, std::move(d)); }
  Value undefined(std::string message);
  Value new_namespace();
  Value helper(bool joiner, std::vector<Value> items);
  Value function(std::string name, std::function<Result<Value>(Runtime&, Args&)> call, int depth = 0);
  // Strings and keys are the client's, but for roles of known names: those are as good as
  // constants.
  Value from_client(const json::value& j);

  Result<ForeignText> str(const Value& v);
  Result<void> append_str(ForeignText& out, const Value& v);
  Result<void> append_repr(ForeignText& out, const Value& v, int depth = 0);
  Result<ForeignText> to_json(const Value& v, const JsonStyle& style);

  Result<bool> equal(const Value& a, const Value& b);
  Result<bool> less(const Value& a, const Value& b);
  Result<bool> contains(const Value& container, const Value& item);
  Result<Value> binary(Operator op, const Value& a, const Value& b);
  Result<Value> negate(const Value& v, bool keep_sign);
  Result<void> stable_sort(std::vector<Value>& items, const std::vector<Value>& keys, bool reverse);

  Result<Items> iterate(const Value& v);
  Result<Value> attribute(const Value& v, std::string_view name);
  Result<Value> item(const Value& v, const Value& key);
  Result<Value> slice(const Value& v, const Value& start, const Value& stop, const Value& step);
  Result<Value> call(const Value& f, Args& args);
  Result<Value> call_method(const Value& self, std::string_view name, Args& args);

  int64_t now_unix_s() const { return now_unix_s_; }
  // The error a template raised itself: its message stays as it is.
  bool raised = false;

 private:
  Result<void> append_json(ForeignText& out, const Value& v, const JsonStyle& style, int depth);
  Result<Value> arithmetic(Operator op, const Value& a, const Value& b);
  Result<Value> integers(Operator op, Int a, Int b);
  Result<Value> reals(Operator op, double a, double b);
  Result<Value> repeat(const Value& sequence, const Value& times);
  Result<Value> undefined_attribute(const Value& v, std::string_view name);

  int64_t now_unix_s_;
  Budget budget_;
  std::vector<std::shared_ptr<NamespaceObject>> namespaces_;  // emptied at the end: they may form cycles
};

// Error of an operation on an undefined value.
Error undefined_error(const Value& v);
Error type_error(std::string message);
std::string describe(const Value& v);  // "dict object", as error messages name a value's type

// A method of a value's type; null where the type has none of that name. `unsafe` is set for those
// that the sandbox refuses (list.append …) and for Python's own dunder attributes.
Method find_method(Kind kind, std::string_view name, bool& unsafe);

// `converted` is what a conversion made of the String `v`; `convert` does the same to a part of its
// text. Bytes are told apart where the parts' lengths add up; else all of them count as the
// client's.
ForeignText with_origin(const Value& v, std::string converted,
                        std::string (*convert)(std::string_view));
// HTML-escaped, where that is asked for.
ForeignText escaped(const ForeignText& text, bool escape);

// The value of an argument that must be an integer (booleans are) and fits 64 bits.
Result<int64_t> integer_argument(const Value& v, std::string_view what);

}  // namespace verge::engine::jinja
