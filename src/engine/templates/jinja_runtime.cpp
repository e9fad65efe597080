#include "engine/templates/jinja_runtime.h"

#include <algorithm>

#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// Design: making values, walking them and looking into them. Limits work by accounting: objects add
// what they take to the Budget when made and give it back when they die; spend(), which every
// evaluated node calls, compares. So making a value cannot fail, and what one operation makes is
// bounded by reserve(), asked before the large ones.
namespace verge::engine::jinja {
namespace {

// Templates build control tokens from roles ("<|" + role + "|>"), so a role that a client made up
// is text.
bool known_role(const json::value& v) {
  static constexpr std::string_view kRoles[] = {"system",    "user",     "assistant", "tool",
                                                "developer", "function", "ipython",   "model"};
  return v.is_string() && std::find(std::begin(kRoles), std::end(kRoles),
                                    std::string_view(v.get_string())) != std::end(kRoles);
}

}  // namespace

Runtime::~Runtime() {
  for (auto& ns : namespaces_) ns->attributes.clear();
}

Result<void> Runtime::spend(size_t steps) {
  budget_.steps += steps;
  if (budget_.steps > limits::kTemplateSteps) return fail(Code::InvalidInput, "the chat template took more than {} steps", limits::kTemplateSteps);
  if (budget_.bytes > limits::kTemplateMemoryBytes) {
    return fail(Code::InvalidInput, "the chat template used more than {} bytes of memory", limits::kTemplateMemoryBytes);
  }
  if (budget_.depth > limits::kTemplateValueDepth) {
    return fail(Code::InvalidInput, "the chat template nests values deeper than {}", limits::kTemplateValueDepth);
  }
  return {};
}

Result<void> Runtime::reserve(size_t bytes) {
  if (bytes > limits::kTemplateOutputBytes) {
    return fail(Code::InvalidInput, "the chat template makes a value of more than {} bytes", limits::kTemplateOutputBytes);
  }
  return spend(1 + bytes / limits::kTemplateBytesPerStep);
}

Value Runtime::string(ForeignText text, bool markup) {
  budget_.steps += text.size() / limits::kTemplateBytesPerStep;
  return Value::object(Kind::String, std::make_shared<StringObject>(std::move(text), markup, &budget_));
}

Value Runtime::part(const Value& whole, std::string_view view) {
  ForeignText text;
  text.append(view, whole.foreign(),
              view.empty() ? 0 : static_cast<size_t>(view.data() - whole.text().data()));
  return string(std::move(text), whole.markup());
}

Value Runtime::list(std::vector<Value> items) {
  budget_.steps += items.size();
  return Value::object(Kind::List, std::make_shared<ListObject>(std::move(items), &budget_));
}

Value Runtime::tuple(std::vector<Value> items, std::string name) {
  auto object = std::make_shared<ListObject>(std::move(items), &budget_);
  object->name = std::move(name);
  return Value::object(Kind::Tuple, std::move(object));
}

Value Runtime::view(const char* type, std::vector<Value> items) {
  budget_.steps += items.size();
  auto object = std::make_shared<ListObject>(std::move(items), &budget_);
  object->name = type;
  return Value::object(Kind::View, std::move(object));
}

Value Runtime::iterator(std::vector<Value> items, const char* type) {
  budget_.steps += items.size();
  auto object = std::make_shared<IteratorObject>();
  for (const Value& item : items) object->depth = std::max(object->depth, 1 + depth_of(item));
  budget_.depth = std::max(budget_.depth, object->depth);
  object->items = std::move(items);
  object->name = type;
  return Value::object(Kind::Iterator, std::move(object));
}

Value Runtime::undefined(std::string message) {
  auto object = std::make_shared<UndefinedObject>();
  object->message = std::move(message);
  return Value::object(Kind::Undefined, std::move(object));
}

Value Runtime::new_namespace() {
  auto object = std::make_shared<NamespaceObject>();
  namespaces_.push_back(object);
  budget_.steps += 8;
  return Value::object(Kind::Namespace, std::move(object));
}

Value Runtime::helper(bool joiner, std::vector<Value> items) {
  auto object = std::make_shared<HelperObject>();
  object->joiner = joiner;
  for (const Value& item : items) object->depth = std::max(object->depth, 1 + depth_of(item));
  budget_.depth = std::max(budget_.depth, object->depth);
  object->items = std::move(items);
  return Value::object(Kind::Helper, std::move(object));
}

Value Runtime::function(std::string name, std::function<Result<Value>(Runtime&, Args&)> call, int depth) {
  auto object = std::make_shared<FunctionObject>();
  object->name = std::move(name);
  object->call = std::move(call);
  object->depth = depth;
  budget_.depth = std::max(budget_.depth, depth);
  return Value::object(Kind::Function, std::move(object));
}

Value Runtime::from_client(const json::value& j) {
  switch (j.kind()) {
    case json::kind::null: return Value::none();
    case json::kind::bool_: return Value::boolean(j.get_bool());
    case json::kind::int64: return Value::integer(j.get_int64());
    case json::kind::uint64: return Value::integer(j.get_uint64());
    case json::kind::double_: return Value::real(j.get_double());
    case json::kind::string: return string(ForeignText(std::string(j.get_string()), true));
    case json::kind::array: {
      std::vector<Value> items;
      items.reserve(j.get_array().size());
      for (const json::value& item : j.get_array()) items.push_back(from_client(item));
      return list(std::move(items));
    }
    case json::kind::object: {
      auto d = new_dict();
      for (const auto& [key, value] : j.get_object()) {
        Value name = string(ForeignText(std::string(key), true));
        d->set(std::move(name), key == "role" && known_role(value)
                                    ? string(std::string(value.get_string()))
                                    : from_client(value));
      }
      return dict(std::move(d));
    }
  }
  return Value::none();
}

ForeignText with_origin(const Value& v, std::string converted,
                        std::string (*convert)(std::string_view)) {
  const std::vector<TextRange>& foreign = v.foreign();
  const std::string_view text = v.text();
  if (foreign.empty()) return ForeignText(std::move(converted));
  if (foreign.size() == 1 && foreign[0] == TextRange{0, text.size()})
    return ForeignText(std::move(converted), true);
  ForeignText out;
  size_t at = 0;
  for (const TextRange& range : foreign) {
    out += convert(text.substr(at, range.begin - at));
    out.append_foreign(convert(text.substr(range.begin, range.end - range.begin)));
    at = range.end;
  }
  out += convert(text.substr(at));
  if (out.size() != converted.size()) return ForeignText(std::move(converted), true);
  out.text = std::move(converted);
  return out;
}

ForeignText escaped(const ForeignText& text, bool escape) {
  if (!escape) return text;
  ForeignText out;
  size_t at = 0;
  const std::string_view whole = text.text;
  for (const TextRange& range : text.foreign) {
    out += text::html_escape(whole.substr(at, range.begin - at));
    out.append_foreign(text::html_escape(whole.substr(range.begin, range.end - range.begin)));
    at = range.end;
  }
  out += text::html_escape(whole.substr(at));
  return out;
}

Error undefined_error(const Value& v) { return fail(Code::InvalidInput, "{}", v.as<UndefinedObject>().message); }
Error type_error(std::string message) { return Error{Code::InvalidInput, std::move(message)}; }

std::string describe(const Value& v) {
  if (v.is(Kind::None)) return "None";
  return std::string(type_name(v)) + " object";
}

Result<int64_t> integer_argument(const Value& v, std::string_view what) {
  if (v.undefined()) return undefined_error(v);
  if (!v.is_integral()) return fail(Code::InvalidInput, "{} must be an integer, not '{}'", what, type_name(v));
  if (v.integer() > INT64_MAX || v.integer() < INT64_MIN) return fail(Code::InvalidInput, "{} is too large", what);
  return static_cast<int64_t>(v.integer());
}

Result<Items> Runtime::iterate(const Value& v) {
  auto own = [this](std::vector<Value> items) {
    budget_.steps += items.size();
    auto object = std::make_shared<ListObject>(std::move(items), &budget_);
    return Items{object, object->items.data(), object->items.size()};
  };
  switch (v.kind()) {
    case Kind::Undefined: return Items{};
    case Kind::List:
    case Kind::Tuple:
    case Kind::View: return Items{v.shared(), v.items().data(), v.items().size()};
    case Kind::Iterator: {
      auto& it = v.mutable_as<IteratorObject>();
      Items rest{v.shared(), it.items.data() + it.next, it.items.size() - it.next};
      it.next = it.items.size();
      return rest;
    }
    case Kind::Dict: {
      std::vector<Value> keys;
      keys.reserve(v.as<DictObject>().entries.size());
      for (const auto& entry : v.as<DictObject>().entries) keys.push_back(entry.first);
      return own(std::move(keys));
    }
    case Kind::String: {
      VERGE_TRY(reserve(v.text().size()));
      std::vector<Value> items;
      VERGE_TRY(spend(v.text().size()));
      for (std::string_view c : text::characters(v.text())) items.push_back(part(v, c));
      return own(std::move(items));
    }
    case Kind::Range: {
      const auto& r = v.as<RangeObject>();
      VERGE_TRY(spend(static_cast<size_t>(r.length)));
      std::vector<Value> items;
      items.reserve(static_cast<size_t>(r.length));
      for (int64_t i = 0; i < r.length; ++i) items.push_back(Value::integer(static_cast<Int>(r.start) + static_cast<Int>(i) * r.step));
      return own(std::move(items));
    }
    default: return type_error(fmt::format("'{}' object is not iterable", type_name(v)));
  }
}

Result<Value> Runtime::undefined_attribute(const Value& v, std::string_view name) {
  return undefined(fmt::format("'{}' has no attribute {}", describe(v), text::repr(name)));
}

Result<Value> Runtime::attribute(const Value& v, std::string_view name) {
  if (v.undefined()) return undefined_error(v);
  if (v.is(Kind::Loop)) {
    VERGE_ASSIGN(found, v.mutable_as<LoopObject>().attribute(*this, name));
    if (!found.missing()) return found;
  } else if (v.is(Kind::Namespace)) {
    for (const auto& [key, value] : v.as<NamespaceObject>().attributes) {
      if (key == name) return value;
    }
  } else if (v.is(Kind::Range)) {
    const auto& r = v.as<RangeObject>();
    if (name == "start") return Value::integer(r.start);
    if (name == "stop") return Value::integer(r.stop);
    if (name == "step") return Value::integer(r.step);
  } else if (v.is(Kind::Tuple) && v.as<ListObject>().name == "group") {
    if (name == "grouper") return v.items()[0];
    if (name == "list") return v.items()[1];
  } else if (v.is(Kind::Helper) && name == "current" && !v.as<HelperObject>().joiner) {
    return v.as<HelperObject>().items[v.as<HelperObject>().position];
  } else if (v.is_integral() && (name == "real" || name == "numerator")) {
    return Value::integer(v.integer());
  } else if (v.is_integral() && (name == "imag" || name == "denominator")) {
    return Value::integer(name == "imag" ? 0 : 1);
  }
  bool unsafe = false;
  if (Method method = find_method(v.kind(), name, unsafe)) {
    return function(std::string(name), [method, v](Runtime& rt, Args& args) { return method(rt, v, args); }, 1 + depth_of(v));
  }
  if (unsafe) return undefined(fmt::format("access to attribute {} of '{}' object is unsafe.", text::repr(name), type_name(v)));
  if (v.is(Kind::Dict)) {
    if (const Value* found = v.as<DictObject>().find(name)) return *found;
  }
  return undefined_attribute(v, name);
}

Result<Value> Runtime::item(const Value& v, const Value& key) {
  if (v.undefined()) return undefined_error(v);
  if (v.is(Kind::Dict) && hashable(key)) {
    const auto& d = v.as<DictObject>();
    if (const Value* found = key.is(Kind::String) ? d.find(key.text()) : d.find(key)) return *found;
  }
  if (key.is_integral()) {
    Int i = key.integer();
    auto at = [&i](size_t n) {
      if (i < 0) i += static_cast<Int>(n);
      return i >= 0 && i < static_cast<Int>(n);
    };
    if (v.is(Kind::List) || v.is(Kind::Tuple)) {
      if (at(v.items().size())) return v.items()[static_cast<size_t>(i)];
    } else if (v.is(Kind::String)) {
      if (at(text::length(v.text()))) {
        size_t start = text::is_ascii(v.text()) ? static_cast<size_t>(i) : text::offset(v.text(), static_cast<size_t>(i));
        size_t end = start;
        text::next(v.text(), end);
        return part(v, v.text().substr(start, end - start));
      }
    } else if (v.is(Kind::Range)) {
      const auto& r = v.as<RangeObject>();
      if (at(static_cast<size_t>(r.length))) return Value::integer(static_cast<Int>(r.start) + i * r.step);
    }
  }
  if (key.is(Kind::String) && !(v.is(Kind::Dict))) return attribute(v, key.text());
  if (key.is(Kind::String)) {
    // A dict without the key: as in the reference, its methods can be had by subscript too.
    bool unsafe = false;
    if (find_method(v.kind(), key.text(), unsafe) || unsafe) return attribute(v, key.text());
    return undefined_attribute(v, key.text());
  }
  ForeignText shown;
  VERGE_TRY(append_repr(shown, key));
  return undefined(fmt::format("{} has no element {}", describe(v), shown.text));
}

Result<Value> Runtime::slice(const Value& v, const Value& start, const Value& stop, const Value& step) {
  if (v.undefined()) return undefined_error(v);
  if (!v.is(Kind::String) && !v.is(Kind::List) && !v.is(Kind::Tuple) && !v.is(Kind::Range)) {
    return type_error(v.is(Kind::Dict) ? "unhashable type: 'slice'" : fmt::format("'{}' object is not subscriptable", type_name(v)));
  }
  for (const Value* part : {&start, &stop, &step}) {
    if (!part->missing() && !part->is(Kind::None) && !part->is_integral()) {
      return type_error("slice indices must be integers or None or have an __index__ method");
    }
  }
  Int n = static_cast<Int>(*size_of(v));
  auto given = [](const Value& part) { return part.is_integral(); };
  Int by = given(step) ? step.integer() : 1;
  if (by == 0) return type_error("slice step cannot be zero");
  auto clamp = [&](const Value& part, Int otherwise) {
    if (!given(part)) return otherwise;
    Int i = part.integer();
    if (i < 0) i += n;
    return by > 0 ? std::clamp<Int>(i, 0, n) : std::clamp<Int>(i, -1, n - 1);
  };
  Int from = clamp(start, by > 0 ? 0 : n - 1), to = clamp(stop, by > 0 ? n : -1);
  if (v.is(Kind::String)) {
    std::string_view s = v.text();
    if (by == 1) {
      if (from >= to) return part(v, {});
      bool ascii = text::is_ascii(s);
      size_t a = ascii ? static_cast<size_t>(from) : text::offset(s, static_cast<size_t>(from));
      size_t b = ascii ? static_cast<size_t>(to) : a + text::offset(s.substr(a), static_cast<size_t>(to - from));
      return part(v, s.substr(a, b - a));
    }
    VERGE_TRY(spend(s.size()));
    std::vector<std::string_view> characters = text::characters(s);
    ForeignText out;
    for (Int i = from; by > 0 ? i < to : i > to; i += by) {
      std::string_view c = characters[static_cast<size_t>(i)];
      out.append(c, v.foreign(), static_cast<size_t>(c.data() - s.data()));
    }
    return string(std::move(out), v.markup());
  }
  if (v.is(Kind::Range)) {
    const auto& r = v.as<RangeObject>();
    if (by > INT32_MAX || by < INT32_MIN) return type_error("slice step too large");
    auto part = std::make_shared<RangeObject>();
    part->start = static_cast<int64_t>(r.start + from * r.step);
    part->stop = static_cast<int64_t>(r.start + to * r.step);
    Int step = r.step * by, span = static_cast<Int>(part->stop) - part->start;
    if (step > INT64_MAX || step < INT64_MIN) return type_error("slice step too large");
    part->step = static_cast<int64_t>(step);
    part->length = static_cast<int64_t>((step > 0 ? span > 0 : span < 0) ? (span + step - (step > 0 ? 1 : -1)) / step : 0);
    return Value::object(Kind::Range, std::move(part));
  }
  std::vector<Value> out;
  VERGE_ASSIGN(items, iterate(v));
  for (Int i = from; by > 0 ? i < to : i > to; i += by) out.push_back(items.first[static_cast<size_t>(i)]);
  VERGE_TRY(spend(out.size()));
  return v.is(Kind::Tuple) ? tuple(std::move(out)) : list(std::move(out));
}

Result<Value> Runtime::call(const Value& f, Args& args) {
  VERGE_TRY(spend());
  switch (f.kind()) {
    case Kind::Undefined: return undefined_error(f);
    case Kind::Function: return f.as<FunctionObject>().call(*this, args);
    case Kind::Loop: return f.mutable_as<LoopObject>().call(*this, args);
    case Kind::Helper: {
      auto& h = f.mutable_as<HelperObject>();
      if (!h.joiner) break;
      return h.position++ == 0 ? string("") : h.items[0];
    }
    default: break;
  }
  return type_error(fmt::format("'{}' object is not callable", type_name(f)));
}

Result<Value> Runtime::call_method(const Value& self, std::string_view name, Args& args) {
  if (self.is(Kind::String) || self.is(Kind::Dict)) {
    bool unsafe = false;
    if (Method method = find_method(self.kind(), name, unsafe)) {
      VERGE_TRY(spend());
      return method(*this, self, args);
    }
  }
  VERGE_ASSIGN(f, attribute(self, name));
  return call(f, args);
}

}  // namespace verge::engine::jinja
