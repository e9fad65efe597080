// The messages follow Cabidela's, the validator of the published service: clients match on them.
// The decisions follow JSON Schema: each branch of oneOf is tried whole, `required` looks at what
// is present. Inside a branch the first violation ends it, in the order of the schema's properties;
// the violations of all branches are then listed together. Input is hostile, schemas are not: depth
// is bounded by the parser of the input, the number and length of messages here.
#include "catalogue/schema.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "support/limits.h"

namespace verge::catalogue {
namespace {

struct Violation {
  std::string text;
  std::string at;  // JSON pointer of what is wrong; empty = the whole
  bool operator==(const Violation& other) const { return text == other.text; }
};
using Errors = std::vector<Violation>;

class Path {
 public:
  std::string text() const { return parts_.empty() ? "/" : parts_; }
  bool root() const { return parts_.empty(); }
  // Appends a part for the life of the returned guard.
  struct Guard {
    std::string& parts;
    size_t size;
    ~Guard() { parts.resize(size); }
  };
  [[nodiscard]] Guard push(std::string_view part) {
    Guard guard{parts_, parts_.size()};
    parts_ += '/';
    parts_ += part.substr(0, 64);
    return guard;
  }

 private:
  std::string parts_;
};

// A compiled `pattern`; null = it does not compile.
using Pattern = std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>;
Pattern compile(std::string_view pattern) {
  int error = 0;
  size_t offset = 0;
  return Pattern(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error, &offset, nullptr),
                 &pcre2_code_free);
}

// True where the pattern is found anywhere. Backtracking without end counts as no match.
bool found(std::string_view pattern, std::string_view text) {
  Pattern code = compile(pattern);
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(pcre2_match_context_create(nullptr),
                                                                                    &pcre2_match_context_free);
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  pcre2_set_match_limit(context.get(), limits::kSchemaPatternSteps);
  return code && pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(), context.get()) >= 0;
}

bool is_integer(const json::value& value) {
  if (value.is_int64() || value.is_uint64()) return true;
  return value.is_double() && std::isfinite(value.get_double()) && value.get_double() == std::floor(value.get_double());
}

bool has_type(const json::value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "integer") return is_integer(value);
  if (type == "boolean") return value.is_bool();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  return type == "null" && value.is_null();
}

// As the published messages list it: 'number','integer' for 5.
const char* type_names(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "'null'";
    case json::kind::bool_: return "'boolean'";
    case json::kind::string: return "'string'";
    case json::kind::array: return "'array'";
    case json::kind::object: return "'object'";
    default: return is_integer(value) ? "'number','integer'" : "'number'";
  }
}

std::string plain(const json::value& value) {
  std::string text;
  if (value.is_string()) text = value.get_string();
  else if (value.is_double()) text = fmt::format("{}", value.get_double());
  else text = json::serialize(value);
  if (text.size() <= 64) return text;
  text.resize(64);
  return text += "…";
}

// Length in UTF-16 units, as JavaScript counts; text is valid UTF-8 (the parser has seen to it).
size_t text_length(std::string_view text) {
  size_t units = 0;
  for (unsigned char c : text) units += (c & 0xC0) != 0x80 ? (c >= 0xF0 ? 2 : 1) : 0;
  return units;
}

void add(Errors& errors, Violation violation) {
  if (errors.size() >= limits::kSchemaErrors || std::find(errors.begin(), errors.end(), violation) != errors.end()) return;
  errors.push_back(std::move(violation));
}

std::string joined(const Errors& errors) {
  std::string out;
  for (const Violation& one : errors) out += (out.empty() ? "" : ", ") + one.text;
  return out;
}

// The first that is about a part of the value.
std::string place_of(const Errors& errors) {
  const auto part = std::find_if(errors.begin(), errors.end(), [](const Violation& one) { return !one.at.empty(); });
  return part == errors.end() ? "" : part->at;
}

class Validator {
 public:
  bool check(const json::object& schema, const json::value& value) {
    if (const json::value* type = schema.if_contains("type"); type && !check_type(*type, value)) return false;
    if (const json::array* branches = get_array(schema, "oneOf"); branches && !check_branches(*branches, value, "oneOf")) return false;
    if (const json::array* branches = get_array(schema, "anyOf"); branches && !check_branches(*branches, value, "anyOf")) return false;
    if (const json::array* all = get_array(schema, "allOf")) {
      for (const json::value& part : *all)
        if (!check(part.get_object(), value)) return false;
    }
    if (const json::value* wanted = schema.if_contains("const"); wanted && *wanted != value)
      return say(fmt::format("const {} doesn't match {} at '{}'", plain(value), plain(*wanted), path_.text()));
    if (const json::array* options = get_array(schema, "enum");
        options && std::find(options->begin(), options->end(), value) == options->end()) {
      std::vector<std::string> names;
      for (const json::value& option : *options) names.push_back(plain(option));
      return say(fmt::format("enum {} not in {} at '{}'", plain(value), fmt::join(names, ","), path_.text()));
    }
    if (value.is_object()) return check_object(schema, value.get_object());
    if (value.is_array()) return check_array(schema, value.get_array());
    if (value.is_string()) return check_string(schema, value.get_string());
    if (value.is_number()) return check_number(schema, value);
    return true;
  }

  const Errors& errors() const { return errors_; }

 private:
  bool say(std::string message) { return say({std::move(message), path_.root() ? "" : path_.text()}); }
  bool say(Violation violation) {
    add(errors_, std::move(violation));
    return false;
  }

  bool check_type(const json::value& type, const json::value& value) {
    if (type.is_string()) {
      if (has_type(value, type.get_string())) return true;
      return say(
          fmt::format("Type mismatch of '{}', '{}' not in {}", path_.text(), std::string_view(type.get_string()), type_names(value)));
    }
    std::vector<std::string> names;
    for (const json::value& option : type.get_array()) {
      if (has_type(value, option.get_string())) return true;
      names.emplace_back(option.get_string());
    }
    return say(fmt::format("Type mismatch of '{}', '{}' not in {}", path_.text(), fmt::join(names, ","), type_names(value)));
  }

  bool check_branches(const json::array& branches, const json::value& value, std::string_view keyword) {
    Errors outer = std::move(errors_);
    errors_.clear();
    int matches = 0;
    Errors inner;
    for (const json::value& branch : branches) {
      matches += check(branch.get_object(), value) && concerns(branch.get_object(), value);
      for (Violation& error : errors_) add(inner, std::move(error));
      errors_.clear();
    }
    errors_ = std::move(outer);
    if (keyword == "oneOf" ? matches == 1 : matches > 0) return true;
    if (path_.root()) {
      std::string head = keyword == "oneOf" ? fmt::format("oneOf at '/' not met, {} matches", matches) : "anyOf at '/' not met";
      return matches || inner.empty() ? say(head) : say({head + ": " + joined(inner), place_of(inner)});
    }
    if (matches || inner.empty()) return say(fmt::format("{} at '{}' not met, {} matches", keyword, path_.text(), matches));
    for (Violation& error : inner) add(errors_, std::move(error));
    return false;
  }

  // As published: a branch without `required` is not met by an object that has none of its properties.
  static bool concerns(const json::object& branch, const json::value& value) {
    const json::object* properties = get_object(branch, "properties");
    if (!properties || !value.is_object()) return true;
    return std::any_of(properties->begin(), properties->end(),
                       [&](const auto& property) { return value.get_object().contains(property.key()); });
  }

  bool check_object(const json::object& schema, const json::object& object) {
    if (auto least = get_int(schema, "minProperties"); least && object.size() < static_cast<size_t>(*least))
      return say(fmt::format("minProperties at '{}' is {}, got {}", path_.text(), *least, object.size()));
    if (auto most = get_int(schema, "maxProperties"); most && object.size() > static_cast<size_t>(*most))
      return say(fmt::format("maxProperties at '{}' is {}, got {}", path_.text(), *most, object.size()));
    const json::object* properties = get_object(schema, "properties");
    if (properties) {
      for (const auto& [name, property] : *properties) {
        const json::value* value = object.if_contains(name);
        if (!value) continue;
        auto guard = path_.push(name);
        if (!check(property.get_object(), *value)) return false;
      }
    }
    if (const json::value* more = schema.if_contains("additionalProperties")) {
      Errors extra;
      for (const auto& [name, value] : object) {
        if (properties && properties->contains(name)) continue;
        auto guard = path_.push(name);
        if (more->is_object()) {
          if (!check(more->get_object(), value)) return false;
        } else if (!more->get_bool()) {
          add(extra, {path_.text(), path_.text()});
        }
      }
      if (!extra.empty())
        return say({fmt::format("Additional or unevaluated properties '{}' at '{}' not allowed", joined(extra), path_.text()), place_of(extra)});
    }
    if (const json::array* required = get_array(schema, "required")) {
      std::vector<std::string_view> names;
      bool missing = false;
      for (const json::value& name : *required) {
        names.push_back(name.get_string());
        missing |= !object.contains(names.back());
      }
      if (missing) return say(fmt::format("required properties at '{}' are '{}'", path_.text(), fmt::join(names, ",")));
    }
    return true;
  }

  bool check_array(const json::object& schema, const json::array& array) {
    if (auto least = get_int(schema, "minItems"); least && array.size() < static_cast<size_t>(*least))
      return say(fmt::format("minItems at '{}' is {}, got {}", path_.text(), *least, array.size()));
    if (auto most = get_int(schema, "maxItems"); most && array.size() > static_cast<size_t>(*most))
      return say(fmt::format("maxItems at '{}' is {}, got {}", path_.text(), *most, array.size()));
    const json::object* items = get_object(schema, "items");
    for (size_t i = 0; items && i < array.size(); ++i) {
      auto guard = path_.push(std::to_string(i));
      if (!check(*items, array[i])) return false;
    }
    return true;
  }

  bool check_string(const json::object& schema, std::string_view text) {
    if (auto most = get_int(schema, "maxLength"); most && text_length(text) > static_cast<size_t>(*most))
      return say(fmt::format("Length of '{}' must be <= {}", path_.text(), *most));
    if (auto least = get_int(schema, "minLength"); least && text_length(text) < static_cast<size_t>(*least))
      return say(fmt::format("Length of '{}' must be >= {} not met", path_.text(), *least));
    if (auto pattern = get_string(schema, "pattern"); pattern && !found(*pattern, text))
      return say(fmt::format("'{}' failed test {} patttern", path_.text(), *pattern));  // sic: three t as published
    return true;
  }

  bool check_number(const json::object& schema, const json::value& value) {
    double number = value.to_number<double>();
    auto bound = [&](std::string_view keyword, std::string_view sign, bool (*broken)(double, double)) {
      auto limit = get_number(schema, keyword);
      return !limit || !broken(number, *limit) || say(fmt::format("'{}' must be {} {}", path_.text(), sign, *limit));
    };
    return bound("minimum", ">=", [](double n, double l) { return n < l; }) &&
           bound("exclusiveMinimum", ">", [](double n, double l) { return n <= l; }) &&
           bound("maximum", "<=", [](double n, double l) { return n > l; }) &&
           bound("exclusiveMaximum", "<", [](double n, double l) { return n >= l; });
  }

  Path path_;
  Errors errors_;
};

// keyword -> what its value must be: 's' a schema, 'l' a list of schemas, 'p' an object of schemas,
// 'b' a schema or a boolean, 't' a type name or list of them, 'n' strings, 'i' an integer, 'f' a number, 'a' an array, 'x' a pattern, '.'
// anything.
struct Keyword {
  std::string_view name;
  char kind;
};
constexpr Keyword kKeywords[] = {
    {"type", 't'},
    {"properties", 'p'},
    {"required", 'n'},
    {"items", 's'},
    {"oneOf", 'l'},
    {"anyOf", 'l'},
    {"allOf", 'l'},
    {"enum", 'a'},
    {"const", '.'},
    {"minimum", 'f'},
    {"maximum", 'f'},
    {"exclusiveMinimum", 'f'},
    {"exclusiveMaximum", 'f'},
    {"minLength", 'i'},
    {"maxLength", 'i'},
    {"minItems", 'i'},
    {"maxItems", 'i'},
    {"minProperties", 'i'},
    {"maxProperties", 'i'},
    {"additionalProperties", 'b'},
    {"default", '.'},
    {"title", '.'},
    {"description", '.'},
    {"format", '.'},
    {"pattern", 'x'},
    {"contentType", '.'},
    {"examples", '.'},
    {"$schema", '.'},
};

Result<void> check_schema_at(const json::value& schema, const std::string& place);

Result<void> check_keyword(char kind, const json::value& value, const std::string& place) {
  auto wrong = [&](const char* wanted) { return fail_at(Code::InvalidInput, std::string(place), "'{}' must be {}", place, wanted); };
  auto strings = [](const json::value& v) {
    return v.is_array() &&
           std::all_of(v.get_array().begin(), v.get_array().end(), [](const json::value& item) { return item.is_string(); });
  };
  switch (kind) {
    case 's': return check_schema_at(value, place);
    case 'b': return value.is_bool() ? Result<void>() : check_schema_at(value, place);
    case 'l':
      if (!value.is_array()) return wrong("an array");
      for (size_t i = 0; i < value.get_array().size(); ++i)
        VERGE_TRY(check_schema_at(value.get_array()[i], place + "/" + std::to_string(i)));
      return {};
    case 'p':
      if (!value.is_object()) return wrong("an object");
      for (const auto& [name, property] : value.get_object()) VERGE_TRY(check_schema_at(property, place + "/" + std::string(name)));
      return {};
    case 't': return value.is_string() || strings(value) ? Result<void>() : wrong("a type's name or an array of them");
    case 'n': return strings(value) ? Result<void>() : wrong("an array of strings");
    case 'i': return value.is_int64() && value.get_int64() >= 0 ? Result<void>() : wrong("an integer >= 0");
    case 'f': return value.is_number() ? Result<void>() : wrong("a number");
    case 'x': return value.is_string() && compile(value.get_string()) ? Result<void>() : wrong("a regular expression");
    case 'a': return value.is_array() ? Result<void>() : wrong("an array");
    default: return {};
  }
}

Result<void> check_schema_at(const json::value& schema, const std::string& place) {
  if (!schema.is_object()) return fail_at(Code::InvalidInput, std::string(place), "'{}' must be an object", place);
  for (const auto& field : schema.get_object()) {
    const std::string_view name = field.key();
    auto keyword = std::find_if(std::begin(kKeywords), std::end(kKeywords), [name](const Keyword& k) { return k.name == name; });
    if (keyword == std::end(kKeywords)) return fail_at(Code::InvalidInput, fmt::format("{}/{}", place, name), "'{}/{}' is a keyword that is not supported", place, name);
    VERGE_TRY(check_keyword(keyword->kind, field.value(), place + "/" + std::string(name)));
  }
  return {};
}

}  // namespace

Result<void> validate(const json::object& schema, const json::value& value) {
  Validator validator;
  if (validator.check(schema, value)) return {};
  return fail_at(Code::InvalidInput, place_of(validator.errors()), "{}", joined(validator.errors()));
}

Result<void> check_schema(const json::object& schema) { return check_schema_at(schema, ""); }

const json::object* find_property(const json::object& schema, std::string_view name) {
  if (const json::object* properties = get_object(schema, "properties"))
    if (const json::object* found = get_object(*properties, name)) return found;
  for (const char* branches : {"oneOf", "anyOf", "allOf"}) {
    const json::array* list = get_array(schema, branches);
    if (!list) continue;
    for (const json::value& branch : *list)
      if (const json::object* object = branch.if_object())
        if (const json::object* found = find_property(*object, name)) return found;
  }
  return nullptr;
}

}  // namespace verge::catalogue
