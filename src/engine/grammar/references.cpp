#include "engine/grammar/references.h"

#include <vector>

namespace verge::engine::grammar {
namespace {

struct Uri {
  std::string scheme, authority, path, query, fragment;
  bool has_authority = false, has_query = false, has_fragment = false;
};

Uri split(std::string_view s) {
  Uri u;
  if (const size_t at = s.find('#'); at != s.npos) u.fragment = s.substr(at + 1), u.has_fragment = true, s = s.substr(0, at);
  if (const size_t at = s.find('?'); at != s.npos) u.query = s.substr(at + 1), u.has_query = true, s = s.substr(0, at);
  const size_t colon = s.find(':');
  if (colon != s.npos && colon > 0 && s.find('/') > colon) u.scheme = s.substr(0, colon), s = s.substr(colon + 1);
  if (s.starts_with("//")) {
    u.has_authority = true;
    const size_t end = std::min(s.find('/', 2), s.size());
    u.authority = s.substr(2, end - 2);
    s = s.substr(end);
  }
  u.path = s;
  return u;
}

std::string without_dots(const std::string& path) {
  std::vector<std::string> parts;
  size_t at = 0;
  const bool rooted = path.starts_with('/');
  bool folder = false;
  while (at <= path.size()) {
    const size_t end = std::min(path.find('/', at), path.size());
    std::string part = path.substr(at, end - at);
    folder = part == "." || part == "..";
    if (part == "..") {
      if (!parts.empty() && !(rooted && parts.size() == 1)) parts.pop_back();
    } else if (part != ".") {
      parts.push_back(std::move(part));
    }
    at = end + 1;
  }
  if (folder) parts.emplace_back();
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) out += (i ? "/" : "") + parts[i];
  return out;
}

std::string join(const Uri& u) {
  std::string out;
  if (!u.scheme.empty()) out += u.scheme + ":";
  if (u.has_authority) out += "//" + u.authority;
  out += u.path;
  if (u.has_query) out += "?" + u.query;
  if (u.has_fragment && !u.fragment.empty()) out += "#" + u.fragment;
  return out;
}

std::string decoded(std::string_view s) {
  std::string out;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; };
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '%' && i + 2 < s.size() && digit(s[i + 1]) >= 0 && digit(s[i + 2]) >= 0) {
      out += static_cast<char>(digit(s[i + 1]) * 16 + digit(s[i + 2]));
      i += 2;
    } else {
      out += s[i];
    }
  }
  return out;
}

// RFC 6901.
const Json* follow(const Json* node, std::string_view pointer) {
  while (node && !pointer.empty()) {
    if (pointer[0] != '/') return nullptr;
    const size_t end = std::min(pointer.find('/', 1), pointer.size());
    std::string part(pointer.substr(1, end - 1));
    pointer = pointer.substr(end);
    for (size_t i = 0; i < part.size(); ++i) {
      if (part[i] != '~' || i + 1 >= part.size()) continue;
      part.replace(i, 2, part[i + 1] == '1' ? "/" : "~");
    }
    if (node->type == Json::Array) {
      size_t index = 0;
      if (part.empty() || part.size() > 7 || part.find_first_not_of("0123456789") != part.npos) return nullptr;
      index = static_cast<size_t>(std::stoul(part));
      node = index < node->items.size() ? node->items[index] : nullptr;
    } else {
      node = node->find(part);
    }
  }
  return node;
}

}  // namespace

std::string resolve_uri(std::string_view base, std::string_view reference) {
  Uri r = split(reference);
  if (!r.scheme.empty()) return r.path = r.has_authority ? without_dots(r.path) : r.path, join(r);
  Uri b = split(base), out = b;
  out.fragment = r.fragment;
  out.has_fragment = r.has_fragment;
  if (r.has_authority) {
    out.has_authority = true;
    out.authority = r.authority;
    out.path = without_dots(r.path);
    out.query = r.query, out.has_query = r.has_query;
  } else if (!r.path.empty()) {
    const std::string folder = b.path.substr(0, b.path.rfind('/') == std::string::npos ? 0 : b.path.rfind('/') + 1);
    out.path = without_dots(r.path.starts_with('/') ? r.path : (b.has_authority && b.path.empty() ? "/" : folder) + r.path);
    out.query = r.query, out.has_query = r.has_query;
  } else if (r.has_query) {
    out.query = r.query, out.has_query = true;
  }
  return join(out);
}

References::References(const JsonTree& tree, bool collection) : collection_(collection) {
  bases_[&tree.root()] = "";
  legacy_[&tree.root()] = false;
  if (!collection) {
    by_uri_.emplace("", &tree.root());
    read(tree.root(), "", false);
    return;
  }
  for (const Json* document : tree.root().items) {
    const std::string base = "document:" + std::to_string(document->place);
    by_uri_.emplace(base, document);
    bases_[document] = base;
    legacy_[document] = false;
    read(*document, base, false);
  }
}

void References::read(const Json& node, const std::string& outer, bool legacy) {
  std::string base = outer;
  if (node.type == Json::Object) {
    const Json* id = node.find("$id");
    if (!id || id->type != Json::String) id = node.find("id");
    const Json* ref = node.find("$ref");
    const Json* draft = node.find("$schema");
    if (draft && draft->type == Json::String && (is_document(node) || (id && id->type == Json::String))) {
      legacy = false;
      for (const char* name : {"draft-03", "draft-04", "draft-06", "draft-07"})
        legacy |= draft->text.find(name) != std::string::npos;
      if (is_document(node)) legacy_[&node] = legacy;
    }
    const bool ignored = ref && ref->type == Json::String && legacy;  // nor does an $id beside a $ref count
    if (id && id->type == Json::String && !ignored) {
      const std::string uri = resolve_uri(outer, id->text);
      by_uri_.emplace(uri, &node);
      if (!id->text.starts_with('#')) {
        base = uri;
        bases_[&node] = base;
        legacy_[&node] = legacy;
      }
    }
    for (const char* word : {"$anchor", "$dynamicAnchor"}) {
      const Json* anchor = node.find(word);
      if (anchor && anchor->type == Json::String) by_uri_.emplace(base + "#" + anchor->text, &node);
    }
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (node.type == Json::Object) {
      const std::string& key = node.keys[i];
      if (key == "enum" || key == "const" || key == "default" || key == "examples") continue;
    }
    if (!node.items[i]->items.empty()) read(*node.items[i], base, legacy);
  }
}

const Json& References::resource(const Json& node) const {
  const Json* at = &node;
  while (at->parent && !bases_.contains(at)) at = at->parent;
  return *at;
}

bool References::legacy(const Json& node) const { return legacy_.at(&resource(node)); }

const Json* References::resolve(const Json& from, std::string_view reference) const {
  const Json& home = resource(from);
  const auto base = bases_.find(&home);
  const std::string uri = resolve_uri(base == bases_.end() ? "" : base->second, reference);
  if (const auto it = by_uri_.find(uri); it != by_uri_.end()) return it->second;
  const size_t hash = uri.find('#');
  const std::string document = uri.substr(0, hash);
  const Json* target = nullptr;
  if (document == (base == bases_.end() ? "" : base->second)) target = &home;
  else if (const auto it = by_uri_.find(document); it != by_uri_.end()) target = it->second;
  if (!target || hash == std::string::npos) return target;
  const std::string fragment = decoded(std::string_view(uri).substr(hash + 1));
  if (fragment.empty()) return target;
  if (fragment[0] != '/') return nullptr;
  return follow(target, fragment);
}

}  // namespace verge::engine::grammar
