#include "engine/grammar/json_tree.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <unordered_set>

#include "engine/grammar/bounds.h"
#include "engine/grammar/numbers.h"
#include "support/json.h"

namespace verge::engine::grammar {

const Json* Json::find(std::string_view key) const {
  if (type != Object) return nullptr;
  for (size_t i = 0; i < keys.size(); ++i)
    if (keys[i] == key) return items[i];
  return nullptr;
}

// Handler of Boost.JSON's parser. Its own values would lose how a number is spelled, and keep only the last of two equal keys.
struct TreeBuilder {
  static constexpr size_t max_object_size = SIZE_MAX, max_array_size = SIZE_MAX, max_key_size = SIZE_MAX, max_string_size = SIZE_MAX;
  using error_code = boost::system::error_code;
  using view = json::string_view;

  JsonTree tree;
  std::vector<Json*> open;
  std::vector<std::unordered_set<std::string>> seen;
  std::string key, text;
  std::string fault;

  bool stop(error_code& ec, std::string what) {
    fault = std::move(what);
    ec = make_error_code(boost::system::errc::invalid_argument);
    return false;
  }
  Json* add(Json::Type type, error_code& ec) {
    if (tree.nodes_.size() >= bounds::kSchemaNodes) return stop(ec, "it has too many values"), nullptr;
    auto node = std::make_unique<Json>();
    node->type = type;
    node->number = static_cast<uint32_t>(tree.nodes_.size());
    if (!open.empty()) {
      node->parent = open.back();
      node->place = static_cast<uint32_t>(open.back()->items.size());
      open.back()->items.push_back(node.get());
      if (open.back()->type == Json::Object) open.back()->keys.push_back(std::move(key)), key.clear();
    }
    tree.nodes_.push_back(std::move(node));
    return tree.nodes_.back().get();
  }
  bool begin(Json::Type type, error_code& ec) {
    Json* node = add(type, ec);
    if (!node) return false;
    open.push_back(node);
    seen.emplace_back();
    return true;
  }
  bool end() { return open.pop_back(), seen.pop_back(), true; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code& ec) { return begin(Json::Object, ec); }
  bool on_object_end(size_t, error_code&) { return end(); }
  bool on_array_begin(error_code& ec) { return begin(Json::Array, ec); }
  bool on_array_end(size_t, error_code&) { return end(); }
  bool on_key_part(view s, size_t, error_code&) { return text.append(s.data(), s.size()), true; }
  bool on_key(view s, size_t, error_code& ec) {
    text.append(s.data(), s.size());
    key = std::move(text);
    text.clear();
    if (!seen.back().insert(key).second) return stop(ec, "'" + pointer(*open.back()) + "' has the key \"" + key + "\" twice");
    return true;
  }
  bool on_string_part(view s, size_t, error_code&) { return text.append(s.data(), s.size()), true; }
  bool on_string(view s, size_t, error_code& ec) {
    text.append(s.data(), s.size());
    Json* node = add(Json::String, ec);
    if (node) node->text = std::move(text);
    text.clear();
    return node != nullptr;
  }
  bool on_number_part(view, error_code&) { return true; }
  bool number(view s, error_code& ec) {  // the whole number, for the document is parsed in one piece
    Json* node = add(Json::Number, ec);
    if (node) node->text = std::string(s.data(), s.size());
    return node != nullptr;
  }
  bool on_int64(int64_t, view s, error_code& ec) { return number(s, ec); }
  bool on_uint64(uint64_t, view s, error_code& ec) { return number(s, ec); }
  bool on_double(double, view s, error_code& ec) { return number(s, ec); }
  bool on_bool(bool b, error_code& ec) { return add(b ? Json::True : Json::False, ec) != nullptr; }
  bool on_null(error_code& ec) { return add(Json::Null, ec) != nullptr; }
  bool on_comment_part(view, error_code&) { return true; }
  bool on_comment(view, error_code&) { return true; }
};

Result<JsonTree> JsonTree::parse(std::string_view text) {
  if (text.size() > bounds::kSourceBytes)
    return fail(Code::InvalidInput, "it has {} bytes; at most {} are taken", text.size(), bounds::kSourceBytes);
  json::parse_options options;
  options.max_depth = bounds::kSchemaDepth;
  json::basic_parser<TreeBuilder> parser(options);
  boost::system::error_code ec;
  const size_t used = parser.write_some(false, text.data(), text.size(), ec);
  TreeBuilder& builder = parser.handler();
  if (!builder.fault.empty()) return fail(Code::InvalidInput, "{}", builder.fault);
  if (ec == json::error::too_deep) return fail(Code::InvalidInput, "it nests deeper than {} levels", bounds::kSchemaDepth);
  if (ec) return fail(Code::InvalidInput, "it is no JSON: {} at byte {}", ec.message(), used);
  if (used != text.size()) return fail(Code::InvalidInput, "it goes on after its end at byte {}", used);
  return std::move(builder.tree);
}

std::string pointer(const Json& node) {
  std::string out;
  for (const Json* n = &node; n->parent; n = n->parent) {
    std::string part = n->parent->type == Json::Object ? n->parent->keys[n->place] : std::to_string(n->place);
    for (size_t i = 0; i < part.size(); ++i) {
      if (part[i] == '~') part.replace(i++, 1, "~0");
      else if (part[i] == '/') part.replace(i++, 1, "~1");
    }
    out = "/" + part + out;
  }
  return out;
}

bool equal(const Json& a, const Json& b) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case Json::Number: {
      const auto x = parse_decimal(a.text), y = parse_decimal(b.text);
      return x && y ? *x == *y : a.text == b.text;
    }
    case Json::String: return a.text == b.text;
    case Json::Array:
      return a.items.size() == b.items.size() &&
             std::equal(a.items.begin(), a.items.end(), b.items.begin(), [](auto* x, auto* y) { return equal(*x, *y); });
    case Json::Object:
      if (a.keys.size() != b.keys.size()) return false;
      for (size_t i = 0; i < a.keys.size(); ++i) {
        const Json* other = b.find(a.keys[i]);
        if (!other || !equal(*a.items[i], *other)) return false;
      }
      return true;
    default: return true;
  }
}

}  // namespace verge::engine::grammar
