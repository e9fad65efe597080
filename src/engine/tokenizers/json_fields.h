// Look-ups in tokenizer.json whose errors name the component.
#pragma once

#include <string>
#include <string_view>

#include "support/json.h"

namespace verge::engine {

// The "type" of a component, for errors too.
inline std::string component_type(const json::object& component) { return get_string(component, "type").value_or("(no type)"); }

inline Error unknown_component(std::string_view what, const json::object& component) {
  return fail(Code::LoadFailed, "tokenizer.json: the {} \"{}\" is not supported", what, component_type(component).substr(0, 64));
}

inline Error missing_field(std::string_view what, std::string_view field) {
  return fail(Code::LoadFailed, "tokenizer.json: {} lacks \"{}\", or it is of the wrong type", what, field);
}

// A pattern is {"String": …} or {"Regex": …}; as a regular expression either way.
Result<std::string> pattern_of(const json::object& component);

}  // namespace verge::engine
