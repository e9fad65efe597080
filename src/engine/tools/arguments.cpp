#include "engine/tools/arguments.h"

#include <algorithm>
#include <array>

#include "engine/tools/scanner.h"

namespace verge::engine::tools {
namespace {

constexpr size_t kMostArguments = 64;  // their orders are followed pair by pair

// Words of a schema that say nothing of the object as a whole, or that its properties keep.
constexpr std::array<std::string_view, 16> kPlain = {
    "type",        "properties",  "required", "additionalProperties",
    "description", "title",       "$schema",  "$id",
    "$defs",       "definitions", "$comment", "default",
    "examples",    "deprecated",  "strict",   "name"};

bool only_texts(const json::object& schema) {
  if (const auto type = get_string(schema, "type")) return *type == "string";
  const json::array* list = get_array(schema, "enum");
  if (list)
    return !list->empty() && std::all_of(list->begin(), list->end(),
                                         [](const json::value& v) { return v.is_string(); });
  const json::value* constant = schema.if_contains("const");
  return constant && constant->is_string();
}

}  // namespace

Result<std::vector<Argument>> arguments_of(const Function& function) {
  std::vector<Argument> out;
  Result<json::value> parsed = parse_json(function.schema, 256);
  const json::object* schema = parsed ? parsed->if_object() : nullptr;
  if (!schema) return fail(Code::InvalidInput, "'{}' is no schema of an object", function.at);
  for (const auto& [word, value] : *schema) {
    const std::string_view name = word;
    if (std::find(kPlain.begin(), kPlain.end(), name) == kPlain.end() && !name.starts_with("x-"))
      return fail(Code::InvalidInput,
                  "'{}' ({}): this model writes arguments one by one; only words of single "
                  "properties can be kept",
                  function.at, name);
  }
  if (const auto type = get_string(*schema, "type"); type && *type != "object")
    return fail(Code::InvalidInput, "'{}' admits no object", function.at);
  const json::object* properties = get_object(*schema, "properties");
  if (properties && properties->size() > kMostArguments)
    return fail(Code::InvalidInput, "'{}' (properties): at most {} can be written one by one",
                function.at, kMostArguments);
  const json::array* required = get_array(*schema, "required");
  if (properties) {
    for (const auto& [name, value] : *properties) {
      Argument one{std::string(name)};
      one.required = required && std::find(required->begin(), required->end(), json::value(name)) !=
                                     required->end();
      if (const json::object* o = value.if_object()) {
        one.text = only_texts(*o);
        one.boolean =
            get_string(*o, "type") == "boolean" && !o->contains("enum") && !o->contains("const");
      }
      out.push_back(std::move(one));
    }
  }
  if (required)
    for (const json::value& name : *required)
      if (!name.is_string() || !properties || !properties->contains(name.get_string()))
        return fail(Code::InvalidInput, "'{}' (required): it names no property", function.at);
  return out;
}

std::vector<Argument> known_arguments(const Function& function) {
  auto found = arguments_of(function);
  return found ? std::move(*found) : std::vector<Argument>();
}

Result<void> add_arguments(grammar::Envelope& e, const Function& function,
                           const ArgumentStyle& style, uint32_t from, uint32_t end) {
  using Kind = grammar::EnvelopePart::Kind;
  VERGE_ASSIGN(all, arguments_of(function));
  struct Node {
    uint32_t first, later, value_end;
  };
  std::vector<Node> nodes;
  for (const Argument& one : all) {
    Node node{};
    node.first = e.add({Kind::Pattern, style.before(one, true)});
    node.later = e.add({Kind::Pattern, style.before(one, false)});
    node.value_end = e.add({Kind::Pattern, style.after});
    const bool raw = one.text && style.raw_text;
    const uint32_t value = style.python && one.boolean
                               ? e.add({Kind::Pattern, "True|False"})
                               : e.add({raw ? Kind::RawString : Kind::Value, function.schema,
                                        one.name, style.never_in_text, function.at});
    if (raw && !style.text_open.empty()) {
      const uint32_t open = e.add({Kind::Pattern, style.text_open}),
                     close = e.add({Kind::Pattern, style.text_close});
      e.parts[node.first].next = e.parts[node.later].next = {open};
      e.parts[open].next = {value};
      e.parts[value].next = {close};
      e.parts[close].next = {node.value_end};
    } else {
      e.parts[node.first].next = e.parts[node.later].next = {value};
      e.parts[value].next = {node.value_end};
    }
    nodes.push_back(node);
  }
  const auto link = [&](uint32_t part, size_t next, bool first) {
    for (; next < nodes.size(); ++next) {
      e.parts[part].next.push_back(first ? nodes[next].first : nodes[next].later);
      if (all[next].required) return;
    }
    e.parts[part].next.push_back(end);
  };
  link(from, 0, true);
  for (size_t i = 0; i < nodes.size(); ++i) link(nodes[i].value_end, i + 1, false);
  return {};
}

Result<CallParts> add_calls(grammar::Envelope& e, std::span<const Function> functions,
                            const ArgumentStyle& style, std::string open,
                            const std::string& name_end, std::string close) {
  using Kind = grammar::EnvelopePart::Kind;
  CallParts out;
  out.first = {e.add({Kind::Pattern, std::move(open)})};
  out.last = {e.add({Kind::Pattern, std::move(close)})};
  for (const Function& f : functions) {
    const uint32_t name = e.add({Kind::Pattern, literal(f.name) + name_end});
    e.parts[out.first[0]].next.push_back(name);
    VERGE_TRY(add_arguments(e, f, style, name, out.last[0]));
  }
  return out;
}

std::vector<std::pair<std::string, json::value>> pairs_of(const Call& call) {
  std::vector<std::pair<std::string, json::value>> out;
  Result<json::value> parsed = parse_json(call.arguments, 256);
  if (parsed && parsed->is_object())
    for (const auto& [name, value] : parsed->get_object()) out.emplace_back(name, value);
  return out;
}

}  // namespace verge::engine::tools
