// The syntax tree of a template. One struct for expressions and one for statements, with a kind each:
// what the fields hold for a kind is said beside it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/templates/jinja_runtime.h"
#include "engine/templates/jinja_value.h"

namespace verge::engine::jinja {

// A filter or test: gets the value and the arguments.
using Filter = Result<Value> (*)(Runtime& rt, const Value& value, const Args& args);

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr list, dict;  // *list, **dict
};

struct Expr {
  enum class Kind : uint8_t {
    Const,      // constant
    Name,       // name
    List,       // children
    Tuple,      // children
    Dict,       // children: key, value, key, value …
    Not,        // children[0]
    Negative,   // children[0]
    Positive,   // children[0]
    And, Or,    // children[0], children[1]
    Binary,     // op, children[0], children[1]
    Concat,     // children: a ~ b ~ c
    Compare,    // children[0] ops[0] children[1] ops[1] children[2] …
    Condition,  // children: test, value, other (null: undefined)
    Attribute,  // children[0].text
    Item,       // children[0][children[1]]
    Slice,      // children[0][children[1] : children[2] : children[3]], each of the three may be null
    Call,       // children[0](arguments)
    Filter,     // children[0] | text(arguments); children[0] is null in a filter block
    Test,       // children[0] is text(arguments)
  };
  Kind kind;
  int line = 0;
  int height = 1;  // of the tree below, for the limit on nesting
  Operator op = Operator::Add;
  int name = -1;  // index into Template::names
  Filter function = nullptr;  // Filter, Test: null where the name is unknown and only running it is an error
  Value constant;
  std::string text;
  std::vector<ExprPtr> children;
  std::vector<Operator> ops;
  Arguments arguments;
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

// What an assignment stores to: a name, an attribute of a namespace, or several of these.
struct Target {
  int name = -1;
  std::string attribute;      // "ns.x": attribute of the namespace called `name`
  std::vector<Target> parts;  // unpacking, where not empty or `tuple`
  bool tuple = false;
};

struct Macro {
  std::string name;
  std::vector<int> parameters;    // names
  std::vector<ExprPtr> defaults;  // of the last parameters
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
  int caller = -1, kwargs = -1, varargs = -1;  // their names' indices
  Body body;
};

struct Stmt {
  enum class Kind : uint8_t {
    Text,         // text
    Output,       // exprs
    If,           // branches; a null test is the else
    For,          // target, exprs[0] = iterable, exprs[1] = filter or null, body, otherwise
    Set,          // target, exprs[0]
    SetBlock,     // target, exprs[0] = filter chain or null, body
    Macro,        // name, macro
    Call,         // exprs[0] = the call, macro = the caller
    FilterBlock,  // exprs[0] = filter chain, body
    With,         // targets, exprs, body
    Scope,        // body in a scope of its own ({% generation %})
    Break, Continue,
  };
  Kind kind;
  int line = 0;
  int name = -1;
  bool recursive = false, uses_loop = false;  // For
  std::string text;
  Target target;
  std::vector<Target> targets;
  std::vector<ExprPtr> exprs;
  std::vector<std::pair<ExprPtr, Body>> branches;
  std::unique_ptr<Macro> macro;
  Body body, otherwise;
};

struct Template {
  Body body;
  std::vector<std::string> names;  // every variable the template mentions
  int loop = -1;                   // index of "loop" in names
};

}  // namespace verge::engine::jinja
