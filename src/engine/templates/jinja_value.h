// The values of template expressions: Python's, as far as templates see them. Containers are
// immutable once made (the reference sandbox forbids changing them too); only a namespace's
// attributes, an iterator's position and a loop's state change.
//
// Ownership: values share their objects. No cycle can form but through a namespace or a loop, and
// the Runtime empties those when a rendering ends. Strings, lists and dicts count their bytes in the
// Budget they were made under; constants of a compiled template have none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/tokenizers/foreign_text.h"
#include "support/error.h"

namespace verge::engine::jinja {

class Runtime;
struct Args;
using Int = __int128;  // Python's integers are unbounded; ours end at ±2^100, past which arithmetic is an error

// What one rendering has used. Runtime::spend() checks it against support/limits.h.
struct Budget {
  size_t steps = 0;
  size_t bytes = 0;  // alive now
  int depth = 0;     // of the deepest container made
};

struct Object {
  virtual ~Object() = default;
  int depth = 0;  // 1 + the deepest object held; bounds every recursion over values, destructors included
};

class Value {
 public:
  enum class Kind : uint8_t {
    Missing,    // no value at all: an argument that was not given, an unset slot. Never seen by templates
    Undefined,  // prints as nothing, false; any other use is an error
    None, Bool, Int, Float, String, List, Tuple, Dict,
    Range, View,  // range(), d.items() …: sequences of known length
    Iterator,     // what map, select … give: can be walked once
    Namespace, Function, Loop, Helper,  // Helper: cycler and joiner
  };

  Value() = default;
  static Value none() { return Value(Kind::None); }
  static Value boolean(bool b) { Value v(Kind::Bool); v.int_ = b; return v; }
  static Value integer(Int i) { Value v(Kind::Int); v.int_ = i; return v; }
  static Value real(double d) { Value v(Kind::Float); v.real_ = d; return v; }
  static Value object(Kind kind, std::shared_ptr<const Object> o) { Value v(kind); v.object_ = std::move(o); return v; }

  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  bool missing() const { return kind_ == Kind::Missing; }
  bool undefined() const { return kind_ == Kind::Undefined; }
  bool is_integral() const { return kind_ == Kind::Int || kind_ == Kind::Bool; }
  bool is_number() const { return is_integral() || kind_ == Kind::Float; }
  Int integer() const { return int_; }  // Int, Bool
  double real() const { return kind_ == Kind::Float ? real_ : static_cast<double>(int_); }
  const std::shared_ptr<const Object>& shared() const { return object_; }
  template <class T>
  const T& as() const { return static_cast<const T&>(*object_); }
  template <class T>
  T& mutable_as() const { return const_cast<T&>(static_cast<const T&>(*object_)); }  // namespaces, iterators, loops, helpers

  std::string_view text() const;                 // String
  bool markup() const;                           // String marked by `safe` or `escape`
  const std::vector<TextRange>& foreign() const; // String: which of its bytes are the client's
  const std::vector<Value>& items() const;       // List, Tuple, View

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::Missing;
  union {
    Int int_ = 0;
    double real_;
  };
  std::shared_ptr<const Object> object_;
};
using Kind = Value::Kind;

struct StringObject final : Object {
  StringObject(ForeignText t, bool m, Budget* b);
  ~StringObject() override;
  std::string text;
  std::vector<TextRange> foreign;
  bool markup;
  Budget* budget;
};

struct ListObject final : Object {  // List, Tuple, View
  ListObject(std::vector<Value> v, Budget* b);
  ~ListObject() override;
  std::vector<Value> items;
  std::string name;  // View: "dict_items"; groupby's tuples: "group"
  Budget* budget;
};

struct DictObject final : Object {
  explicit DictObject(Budget* b) : budget_(b) { depth = 1; }
  ~DictObject() override;
  // Sets or replaces, keeping the first position, as Python does. Only while the dict is being made.
  void set(Value key, Value value);
  const Value* find(std::string_view key) const;
  const Value* find(const Value& key) const;
  std::vector<std::pair<Value, Value>> entries;

 private:
  size_t position(const Value& key) const;
  size_t position(std::string_view key) const;
  std::unordered_map<std::string_view, uint32_t> index_;  // string keys, once there are more than a few
  Budget* budget_;
};

struct RangeObject final : Object {
  int64_t start = 0, stop = 0, step = 1, length = 0;
};

struct IteratorObject final : Object {
  std::vector<Value> items;
  size_t next = 0;
  std::string name = "generator";
};

struct UndefinedObject final : Object {
  std::string message;  // of the error that using it gives
};

struct NamespaceObject final : Object {
  std::vector<std::pair<std::string, Value>> attributes;
};

struct HelperObject final : Object {
  bool joiner = false;        // else a cycler
  std::vector<Value> items;   // a joiner has one: its separator
  size_t position = 0;
};

// A callable: one of our own functions or methods, or a macro.
struct Macro;
struct FunctionObject final : Object {
  std::string name;
  std::function<Result<Value>(Runtime&, Args&)> call;
  const Macro* macro = nullptr;  // the node, for a macro's attributes
};

// The arguments of a call. A function takes what it knows; done() then refuses the rest.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // Binds to parameter names in order, as Python does; parameters not given are Missing. The first
  // `required` ones must be there.
  Result<std::vector<Value>> bind(std::string_view function, std::initializer_list<std::string_view> parameters, size_t required) const;
};

const char* type_name(const Value& v);          // Python's name of the type: "str", "dict"
bool truth(const Value& v);
bool hashable(const Value& v);
bool is_iterable(const Value& v);
std::optional<size_t> size_of(const Value& v);  // len(); nullopt where there is none
int depth_of(const Value& v);
std::string int_text(Int i);

}  // namespace verge::engine::jinja
