#include <algorithm>
#include <cmath>

#include "engine/templates/jinja_runtime.h"
#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// How values become text: str() and repr() as Python's, and JSON as json.dumps writes it. Output is
// checked against its limit while it grows: a value that shares its parts can print exponentially.
namespace verge::engine::jinja {

Result<ForeignText> Runtime::str(const Value& v) {
  ForeignText out;
  VERGE_TRY(append_str(out, v));
  return out;
}

Result<void> Runtime::append_str(ForeignText& out, const Value& v) {
  if (!v.is(Kind::String)) return append_repr(out, v);
  if (out.size() + v.text().size() > limits::kTemplateOutputBytes) return reserve(out.size() + v.text().size());
  out.append(v.text(), v.foreign(), 0);
  return {};
}

Result<void> Runtime::append_repr(ForeignText& out, const Value& v, int depth) {
  VERGE_TRY(spend());
  if (out.size() > limits::kTemplateOutputBytes) return reserve(out.size());
  if (depth > limits::kTemplateValueDepth) return type_error("maximum recursion depth exceeded while getting the repr of an object");
  auto sequence = [&](const std::vector<Value>& items, const char* open, const char* close) -> Result<void> {
    out += open;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ", ";
      VERGE_TRY(append_repr(out, items[i], depth + 1));
    }
    out += close;
    return {};
  };
  switch (v.kind()) {
    case Kind::Missing: break;
    case Kind::Undefined:
      if (depth > 0) out += "Undefined";
      break;
    case Kind::None: out += "None"; break;
    case Kind::Bool: out += v.integer() ? "True" : "False"; break;
    case Kind::Int: out += int_text(v.integer()); break;
    case Kind::Float: out += text::repr(v.real()); break;
    case Kind::String:
      if (v.markup()) out += "Markup(";
      out += ForeignText(text::repr(v.text()), !v.foreign().empty());
      if (v.markup()) out += ")";
      break;
    case Kind::List: return sequence(v.items(), "[", "]");
    case Kind::Tuple: return sequence(v.items(), "(", v.items().size() == 1 ? ",)" : ")");
    case Kind::View: return sequence(v.items(), (v.as<ListObject>().name + "([").c_str(), "])");
    case Kind::Dict: {
      out.push_back('{');
      bool first = true;
      for (const auto& [key, value] : v.as<DictObject>().entries) {
        if (!first) out += ", ";
        first = false;
        VERGE_TRY(append_repr(out, key, depth + 1));
        out += ": ";
        VERGE_TRY(append_repr(out, value, depth + 1));
      }
      out.push_back('}');
      break;
    }
    case Kind::Range: {
      const auto& r = v.as<RangeObject>();
      out += r.step == 1 ? fmt::format("range({}, {})", r.start, r.stop) : fmt::format("range({}, {}, {})", r.start, r.stop, r.step);
      break;
    }
    case Kind::Namespace: {
      out += "<Namespace {";
      bool first = true;
      for (const auto& [key, value] : v.as<NamespaceObject>().attributes) {
        if (!first) out += ", ";
        first = false;
        out.append_foreign(
            text::repr(key));  // dict(**mapping) names attributes by what a client sent
        out += ": ";
        VERGE_TRY(append_repr(out, value, depth + 1));
      }
      out += "}>";
      break;
    }
    case Kind::Function: {
      const auto& f = v.as<FunctionObject>();
      out += f.macro ? fmt::format("<Macro {}>", text::repr(f.name)) : fmt::format("<built-in function {}>", f.name);
      break;
    }
    case Kind::Iterator:
    case Kind::Loop:
    case Kind::Helper:
      // The reference prints a memory address here: no template can mean that.
      return type_error(fmt::format("a {} object cannot be printed; use the list filter", type_name(v)));
  }
  return {};
}

Result<ForeignText> Runtime::to_json(const Value& v, const JsonStyle& style) {
  ForeignText out;
  VERGE_TRY(append_json(out, v, style, 0));
  return out;
}

Result<void> Runtime::append_json(ForeignText& out, const Value& v, const JsonStyle& style,
                                  int depth) {
  VERGE_TRY(spend());
  if (out.size() > limits::kTemplateOutputBytes) return reserve(out.size());
  auto line = [&](int levels) {
    if (!style.indented) return;
    out.push_back('\n');
    for (int i = 0; i < levels; ++i) out += style.indent;
  };
  auto real = [](double d) -> std::string {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return text::repr(d);
  };
  auto quoted = [&](const Value& s) {
    std::string json;
    text::append_json(json, s.text(), style.ensure_ascii);
    out += ForeignText(std::move(json), !s.foreign().empty());
  };
  switch (v.kind()) {
    case Kind::None: out += "null"; return {};
    case Kind::Bool: out += v.integer() ? "true" : "false"; return {};
    case Kind::Int: out += int_text(v.integer()); return {};
    case Kind::Float: out += real(v.real()); return {};
    case Kind::String: quoted(v); return {};
    case Kind::List:
    case Kind::Tuple: {
      if (v.items().empty()) {
        out += "[]";
        return {};
      }
      out.push_back('[');
      bool first = true;
      for (const Value& item : v.items()) {
        if (!first) out += style.item_separator;
        first = false;
        line(depth + 1);
        VERGE_TRY(append_json(out, item, style, depth + 1));
      }
      line(depth);
      out.push_back(']');
      return {};
    }
    case Kind::Dict: {
      const auto& entries = v.as<DictObject>().entries;
      if (entries.empty()) {
        out += "{}";
        return {};
      }
      std::vector<Value> order;  // pointers would do, but the sort works on values
      std::vector<Value> keys;
      for (size_t i = 0; i < entries.size(); ++i) {
        order.push_back(Value::integer(static_cast<Int>(i)));
        keys.push_back(entries[i].first);
      }
      if (style.sort_keys) VERGE_TRY(stable_sort(order, keys, false));
      out.push_back('{');
      bool first = true;
      for (const Value& at : order) {
        const auto& [key, value] = entries[static_cast<size_t>(at.integer())];
        if (!first) out += style.item_separator;
        first = false;
        line(depth + 1);
        switch (key.kind()) {
          case Kind::String: quoted(key); break;
          case Kind::None: out += "\"null\""; break;
          case Kind::Bool: out += key.integer() ? "\"true\"" : "\"false\""; break;
          case Kind::Int: out += "\"" + int_text(key.integer()) + "\""; break;
          case Kind::Float: out += "\"" + real(key.real()) + "\""; break;
          default: return type_error(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
        }
        out += style.key_separator;
        VERGE_TRY(append_json(out, value, style, depth + 1));
      }
      line(depth);
      out.push_back('}');
      return {};
    }
    default: return type_error(fmt::format("Object of type {} is not JSON serializable", type_name(v)));
  }
}

}  // namespace verge::engine::jinja
