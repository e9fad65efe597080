#include "engine/templates/jinja_value.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/templates/jinja_text.h"

namespace verge::engine::jinja {
namespace {

constexpr size_t kIndexFrom = 12;  // a few keys are found faster by looking at each

void release(Budget* budget, size_t bytes) {
  if (budget) budget->bytes -= bytes;
}

// Equality of keys: strings, numbers (1 == 1.0 == True), None and tuples of these.
bool same_key(const Value& a, const Value& b) {
  if (a.is(Kind::String) || b.is(Kind::String)) return a.is(Kind::String) && b.is(Kind::String) && a.text() == b.text();
  if (a.is_number() && b.is_number()) return a.is_integral() && b.is_integral() ? a.integer() == b.integer() : a.real() == b.real();
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::None)) return true;
  if (a.is(Kind::Tuple)) {
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(), same_key);
  }
  return a.shared() == b.shared();
}

}  // namespace

std::string_view Value::text() const { return as<StringObject>().text; }
bool Value::markup() const { return as<StringObject>().markup; }
const std::vector<TextRange>& Value::foreign() const { return as<StringObject>().foreign; }
const std::vector<Value>& Value::items() const { return as<ListObject>().items; }

StringObject::StringObject(ForeignText t, bool m, Budget* b)
    : text(std::move(t.text)), foreign(std::move(t.foreign)), markup(m), budget(b) {
  if (budget)
    budget->bytes +=
        sizeof(StringObject) + text.capacity() + foreign.capacity() * sizeof(TextRange);
}
StringObject::~StringObject() {
  release(budget, sizeof(StringObject) + text.capacity() + foreign.capacity() * sizeof(TextRange));
}

ListObject::ListObject(std::vector<Value> v, Budget* b) : items(std::move(v)), budget(b) {
  depth = 1;
  for (const Value& item : items) depth = std::max(depth, 1 + depth_of(item));
  if (!budget) return;
  budget->bytes += sizeof(ListObject) + items.capacity() * sizeof(Value);
  budget->depth = std::max(budget->depth, depth);
}
ListObject::~ListObject() { release(budget, sizeof(ListObject) + items.capacity() * sizeof(Value)); }

DictObject::~DictObject() { release(budget_, entries.size() * 2 * sizeof(Value)); }

size_t DictObject::position(std::string_view key) const {
  if (!index_.empty()) {
    auto it = index_.find(key);
    return it == index_.end() ? entries.size() : it->second;
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].first.is(Kind::String) && entries[i].first.text() == key) return i;
  }
  return entries.size();
}

size_t DictObject::position(const Value& key) const {
  if (key.is(Kind::String)) return position(key.text());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (same_key(entries[i].first, key)) return i;
  }
  return entries.size();
}

void DictObject::set(Value key, Value value) {
  depth = std::max({depth, 1 + depth_of(key), 1 + depth_of(value)});
  size_t at = position(key);
  if (at < entries.size()) {
    entries[at].second = std::move(value);
    return;
  }
  entries.emplace_back(std::move(key), std::move(value));
  if (budget_) {
    budget_->bytes += 2 * sizeof(Value);
    budget_->depth = std::max(budget_->depth, depth);
  }
  if (entries.size() == kIndexFrom) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (entries[i].first.is(Kind::String)) index_.emplace(entries[i].first.text(), static_cast<uint32_t>(i));
    }
  } else if (entries.size() > kIndexFrom && entries.back().first.is(Kind::String)) {
    index_.emplace(entries.back().first.text(), static_cast<uint32_t>(entries.size() - 1));
  }
}

const Value* DictObject::find(std::string_view key) const {
  size_t at = position(key);
  return at < entries.size() ? &entries[at].second : nullptr;
}

const Value* DictObject::find(const Value& key) const {
  size_t at = position(key);
  return at < entries.size() ? &entries[at].second : nullptr;
}

Result<std::vector<Value>> Args::bind(std::string_view function, std::initializer_list<std::string_view> parameters, size_t required) const {
  if (positional.size() > parameters.size()) {
    return fail(Code::InvalidInput, "{}() takes at most {} argument(s) but {} were given", function, parameters.size(), positional.size());
  }
  std::vector<Value> bound(parameters.size());
  std::copy(positional.begin(), positional.end(), bound.begin());
  for (const auto& [name, value] : named) {
    auto it = std::find(parameters.begin(), parameters.end(), name);
    if (it == parameters.end()) return fail(Code::InvalidInput, "{}() got an unexpected keyword argument '{}'", function, name);
    Value& slot = bound[static_cast<size_t>(it - parameters.begin())];
    if (!slot.missing()) return fail(Code::InvalidInput, "{}() got multiple values for argument '{}'", function, name);
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound[i].missing()) {
      return fail(Code::InvalidInput, "{}() missing required argument '{}'", function, *(parameters.begin() + i));
    }
  }
  return bound;
}

const char* type_name(const Value& v) {
  switch (v.kind()) {
    case Kind::Missing:
    case Kind::Undefined: return "Undefined";
    case Kind::None: return "NoneType";
    case Kind::Bool: return "bool";
    case Kind::Int: return "int";
    case Kind::Float: return "float";
    case Kind::String: return v.markup() ? "Markup" : "str";
    case Kind::List: return "list";
    case Kind::Tuple: return "tuple";
    case Kind::Dict: return "dict";
    case Kind::Range: return "range";
    case Kind::View: return v.as<ListObject>().name.c_str();
    case Kind::Iterator: return v.as<IteratorObject>().name.c_str();
    case Kind::Namespace: return "Namespace";
    case Kind::Function: return v.as<FunctionObject>().macro ? "Macro" : "function";
    case Kind::Loop: return "LoopContext";
    case Kind::Helper: return v.as<HelperObject>().joiner ? "Joiner" : "Cycler";
  }
  return "object";
}

std::optional<size_t> size_of(const Value& v) {
  switch (v.kind()) {
    case Kind::Undefined: return 0;
    case Kind::String: return text::length(v.text());
    case Kind::List:
    case Kind::Tuple:
    case Kind::View: return v.items().size();
    case Kind::Dict: return v.as<DictObject>().entries.size();
    case Kind::Range: return static_cast<size_t>(v.as<RangeObject>().length);
    default: return std::nullopt;
  }
}

bool truth(const Value& v) {
  switch (v.kind()) {
    case Kind::Missing:
    case Kind::Undefined:
    case Kind::None: return false;
    case Kind::Bool:
    case Kind::Int: return v.integer() != 0;
    case Kind::Float: return v.real() != 0;
    case Kind::String: return !v.text().empty();
    case Kind::List:
    case Kind::Tuple:
    case Kind::View: return !v.items().empty();
    case Kind::Dict: return !v.as<DictObject>().entries.empty();
    case Kind::Range: return v.as<RangeObject>().length > 0;
    default: return true;
  }
}

bool hashable(const Value& v) {
  if (v.is(Kind::Tuple)) return std::all_of(v.items().begin(), v.items().end(), hashable);
  return !v.is(Kind::List) && !v.is(Kind::Dict) && !v.is(Kind::View);
}

bool is_iterable(const Value& v) {
  switch (v.kind()) {
    case Kind::Undefined:
    case Kind::String:
    case Kind::List:
    case Kind::Tuple:
    case Kind::Dict:
    case Kind::Range:
    case Kind::View:
    case Kind::Iterator:
    case Kind::Loop: return true;
    default: return false;
  }
}

int depth_of(const Value& v) { return v.shared() ? v.shared()->depth : 0; }

std::string int_text(Int i) {
  char buffer[48];
  char* p = buffer + sizeof buffer;
  bool negative = i < 0;
  do {
    int digit = static_cast<int>(i % 10);
    *--p = static_cast<char>('0' + (digit < 0 ? -digit : digit));
    i /= 10;
  } while (i != 0);
  if (negative) *--p = '-';
  return std::string(p, buffer + sizeof buffer);
}

}  // namespace verge::engine::jinja
