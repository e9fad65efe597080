// A schema's JSON as written: keys in order, numbers exact. Nodes know their place, for the errors that name it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/error.h"

namespace verge::engine::grammar {

struct Json {
  enum Type : uint8_t { Null, False, True, Number, String, Array, Object } type = Null;
  std::string text;                     // of a string, or a number as spelled
  std::vector<Json*> items;             // of an array, or the values of an object
  std::vector<std::string> keys;        // of an object, beside items
  const Json* parent = nullptr;
  uint32_t place = 0;                   // in the parent's items
  uint32_t number = 0;                  // of all nodes, in order

  bool boolean() const { return type == True || type == False; }
  const Json* find(std::string_view key) const;
};

class JsonTree {
 public:
  // Errors: InvalidInput for what is no JSON, nests deeper than bounds::kSchemaDepth, has a key twice or too many nodes.
  static Result<JsonTree> parse(std::string_view text);
  const Json& root() const { return *nodes_[0]; }
  const Json& node(uint32_t number) const { return *nodes_[number]; }
  size_t size() const { return nodes_.size(); }

 private:
  friend struct TreeBuilder;
  std::vector<std::unique_ptr<Json>> nodes_;
};

// RFC 6901: "" for the root, else "/properties/a~1b/0".
std::string pointer(const Json& node);
// Whether JSON Schema calls them equal: numbers by value, objects without order.
bool equal(const Json& a, const Json& b);

}  // namespace verge::engine::grammar
