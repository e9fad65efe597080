// Where $ref leads. Inside the document only; nothing is ever fetched.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "engine/grammar/json_tree.h"

namespace verge::engine::grammar {

class References {
 public:
  // `collection`: the tree is a list of documents that know nothing of each other.
  References(const JsonTree& tree, bool collection);
  // The schema that `reference` names at `from`; nullptr where the document has none.
  const Json* resolve(const Json& from, std::string_view reference) const;
  // The schema that `node` is in: the nearest one around it with an identifier, else the document.
  const Json& resource(const Json& node) const;
  // Draft 7 and older: words beside a $ref say nothing.
  bool legacy(const Json& node) const;

 private:
  void read(const Json& node, const std::string& base, bool legacy);
  bool is_document(const Json& node) const { return !node.parent || (collection_ && !node.parent->parent); }
  bool collection_;
  std::map<std::string, const Json*, std::less<>> by_uri_;  // without an empty fragment; anchors as uri#name
  std::map<const Json*, std::string> bases_;                // of schemas with an identifier
  std::map<const Json*, bool> legacy_;                      // of the same schemas
};

std::string resolve_uri(std::string_view base, std::string_view reference);  // RFC 3986, section 5.2

}  // namespace verge::engine::grammar
