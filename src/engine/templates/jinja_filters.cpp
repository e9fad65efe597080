#include "engine/templates/jinja_filters.h"

#include <algorithm>
#include <charconv>

#include "engine/templates/jinja_filter_parts.h"
#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// Design: one small function a filter, in one sorted table; their behaviour, parameter names and
// defaults are those of jinja2/filters.py, with transformers' own tojson. Filters that give a
// generator there (map, select …) give an Iterator here: it is filled at once, but can be walked only
// once and has no length, as templates may find out.
namespace verge::engine::jinja {
namespace {

Result<Value> lowered(Runtime& rt, const Value& v) { return v.is(Kind::String) ? by_method(rt, v, "lower") : Result<Value>(v); }

// "a.b.0" of an item, step by step; `otherwise` stands in for what is undefined.
Result<Value> get_attribute(Runtime& rt, const Value& item, const Value& path, const Value& otherwise = Value()) {
  if (!given(path)) return item;
  std::vector<Value> parts;
  if (path.is(Kind::String)) {
    for (std::string_view part : text::split(path.text(), ".", -1)) {
      int64_t n = 0;
      bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
      if (digits && std::from_chars(part.data(), part.data() + part.size(), n).ec != std::errc()) return type_error("integer too large");
      parts.push_back(digits ? Value::integer(n) : rt.string(part));
    }
  } else {
    parts.push_back(path);
  }
  Value v = item;
  for (const Value& part : parts) {
    VERGE_ASSIGN(next, rt.item(v, part));
    v = next.undefined() && given(otherwise) ? otherwise : std::move(next);
  }
  return v;
}

Result<Value> f_sum(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("sum", {"attribute", "start"}, 0));
  Value total = a[1].missing() ? Value::integer(0) : a[1];
  if (total.is(Kind::String)) return type_error("sum() can't sum strings [use ''.join(seq) instead]");
  VERGE_ASSIGN(items, rt.iterate(v));
  for (const Value& item : items) {
    VERGE_ASSIGN(part, get_attribute(rt, item, a[0]));
    VERGE_ASSIGN(next, rt.binary(Operator::Add, total, part));
    total = std::move(next);
  }
  return total;
}

Result<Value> f_length(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("length", {}, 0));
  if (v.is(Kind::Loop)) return rt.attribute(v, "length");
  auto n = size_of(v);
  if (!n) return type_error(fmt::format("object of type '{}' has no len()", type_name(v)));
  return Value::integer(static_cast<Int>(*n));
}

Result<Value> f_list(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("list", {}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  return rt.list(std::vector<Value>(items.begin(), items.end()));
}

Result<Value> f_first(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("first", {}, 0));
  if (v.is(Kind::Iterator)) {
    auto& it = v.mutable_as<IteratorObject>();
    return it.next < it.items.size() ? it.items[it.next++] : rt.undefined("No first item, sequence was empty.");
  }
  VERGE_ASSIGN(items, rt.iterate(v));
  return items.count > 0 ? items.first[0] : rt.undefined("No first item, sequence was empty.");
}

Result<Value> f_last(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("last", {}, 0));
  if (v.is(Kind::Iterator)) return type_error(fmt::format("'{}' object is not reversible", type_name(v)));
  VERGE_ASSIGN(items, rt.iterate(v));
  return items.count > 0 ? items.first[items.count - 1] : rt.undefined("No last item, sequence was empty.");
}

Result<Value> f_reverse(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("reverse", {}, 0));
  if (!is_iterable(v)) return type_error("argument must be iterable");
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out(items.begin(), items.end());
  std::reverse(out.begin(), out.end());
  if (v.is(Kind::String)) {
    ForeignText s;
    for (const Value& c : out) s.append(c.text(), c.foreign(), 0);
    return rt.string(std::move(s), v.markup());
  }
  return v.is(Kind::Iterator) ? rt.list(std::move(out)) : rt.iterator(std::move(out), "list_reverseiterator");
}

Result<Value> f_join(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("join", {"d", "attribute"}, 0));
  ForeignText separator, out;
  if (!a[0].missing()) VERGE_TRY(rt.append_str(separator, a[0]));
  VERGE_ASSIGN(items, rt.iterate(v));
  size_t i = 0;
  for (const Value& item : items) {
    if (i++ > 0) out += separator;
    VERGE_ASSIGN(part, get_attribute(rt, item, a[1]));
    VERGE_TRY(rt.spend());
    VERGE_TRY(rt.append_str(out, part));
  }
  VERGE_TRY(rt.reserve(out.size()));
  return rt.string(std::move(out));
}

Result<Value> f_default(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("default", {"default_value", "boolean"}, 0));
  if (v.undefined() || (truth(a[1]) && !truth(v))) return a[0].missing() ? rt.string("") : a[0];
  return v;
}

Result<Value> f_items(Runtime& rt, const Value& v, const Args& args) {
  VERGE_TRY(args.bind("items", {}, 0));
  std::vector<Value> out;
  if (!v.undefined()) {
    if (!v.is(Kind::Dict)) return type_error("Can only get item pairs from a mapping.");
    for (const auto& [key, value] : v.as<DictObject>().entries) out.push_back(rt.tuple({key, value}));
  }
  return rt.iterator(std::move(out));
}

Result<Value> f_dictsort(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("dictsort", {"case_sensitive", "by", "reverse"}, 0));
  std::string_view by = a[1].missing() ? "key" : a[1].is(Kind::String) ? a[1].text() : "";
  if (by != "key" && by != "value") return type_error("You can only sort by either \"key\" or \"value\"");
  if (v.undefined()) return undefined_error(v);
  if (!v.is(Kind::Dict)) return type_error(fmt::format("'{}' object has no attribute 'items'", type_name(v)));
  std::vector<Value> pairs, keys;
  for (const auto& [key, value] : v.as<DictObject>().entries) {
    pairs.push_back(rt.tuple({key, value}));
    const Value& sorted_by = by == "key" ? key : value;
    VERGE_ASSIGN(k, truth(a[0]) ? Result<Value>(sorted_by) : lowered(rt, sorted_by));
    keys.push_back(std::move(k));
  }
  VERGE_TRY(rt.stable_sort(pairs, keys, truth(a[2])));
  return rt.list(std::move(pairs));
}

// The key that sort and its like compare by: the attribute, in lower case unless told otherwise.
Result<Value> sort_key(Runtime& rt, const Value& item, const Value& attribute, bool case_sensitive, const Value& otherwise = Value()) {
  VERGE_ASSIGN(v, get_attribute(rt, item, attribute, otherwise));
  return case_sensitive ? Result<Value>(std::move(v)) : lowered(rt, v);
}

Result<Value> f_sort(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("sort", {"reverse", "case_sensitive", "attribute"}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> attributes;
  if (a[2].is(Kind::String)) {
    for (std::string_view part : text::split(a[2].text(), ",", -1)) attributes.push_back(rt.string(part));
  } else {
    attributes.push_back(a[2]);
  }
  std::vector<Value> out(items.begin(), items.end()), keys;
  for (const Value& item : out) {
    std::vector<Value> key;
    for (const Value& attribute : attributes) {
      VERGE_ASSIGN(part, sort_key(rt, item, attribute, truth(a[1])));
      key.push_back(std::move(part));
    }
    keys.push_back(rt.list(std::move(key)));
  }
  VERGE_TRY(rt.stable_sort(out, keys, truth(a[0])));
  return rt.list(std::move(out));
}

Result<Value> f_unique(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("unique", {"case_sensitive", "attribute"}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out;
  auto seen = rt.new_dict();
  for (const Value& item : items) {
    VERGE_ASSIGN(key, sort_key(rt, item, a[1], truth(a[0])));
    if (!hashable(key)) return type_error(fmt::format("unhashable type: '{}'", type_name(key)));
    VERGE_TRY(rt.spend(key.is(Kind::String) ? 1 : 1 + seen->entries.size()));
    if (seen->find(key)) continue;
    seen->set(key, Value::none());
    out.push_back(item);
  }
  return rt.iterator(std::move(out));
}

template <bool largest>
Result<Value> f_extreme(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind(largest ? "max" : "min", {"case_sensitive", "attribute"}, 0));
  VERGE_ASSIGN(items, rt.iterate(v));
  if (items.count == 0) return rt.undefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  VERGE_ASSIGN(best_key, sort_key(rt, items.first[0], a[1], truth(a[0])));
  for (size_t i = 1; i < items.count; ++i) {
    VERGE_ASSIGN(key, sort_key(rt, items.first[i], a[1], truth(a[0])));
    VERGE_ASSIGN(better, largest ? rt.less(best_key, key) : rt.less(key, best_key));
    if (!better) continue;
    best = i;
    best_key = std::move(key);
  }
  return items.first[best];
}

Result<Value> f_groupby(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("groupby", {"attribute", "default", "case_sensitive"}, 1));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> sorted(items.begin(), items.end()), keys;
  for (const Value& item : sorted) {
    VERGE_ASSIGN(key, sort_key(rt, item, a[0], truth(a[2]), a[1]));
    keys.push_back(std::move(key));
  }
  VERGE_TRY(rt.stable_sort(sorted, keys, false));
  std::vector<Value> groups, group;
  Value group_key, shown;
  auto close = [&] {
    if (!group.empty()) groups.push_back(rt.tuple({shown, rt.list(std::move(group))}, "group"));
    group.clear();
  };
  for (const Value& item : sorted) {
    VERGE_ASSIGN(key, sort_key(rt, item, a[0], truth(a[2]), a[1]));
    bool same = false;
    if (!group.empty()) {
      VERGE_ASSIGN(equal, rt.equal(key, group_key));
      same = equal;
    }
    if (!same) {
      close();
      group_key = key;
      VERGE_ASSIGN(own, get_attribute(rt, item, a[0], a[1]));
      shown = std::move(own);
    }
    group.push_back(item);
  }
  close();
  return rt.list(std::move(groups));
}

Result<Value> f_batch(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("batch", {"linecount", "fill_with"}, 1));
  VERGE_ASSIGN(count, integer_argument(a[0], "linecount"));
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out, line;
  for (const Value& item : items) {
    if (static_cast<int64_t>(line.size()) == count) {
      out.push_back(rt.list(std::move(line)));
      line.clear();
    }
    line.push_back(item);
  }
  if (!line.empty()) {
    if (given(a[1]) && static_cast<int64_t>(line.size()) < count) {
      if (count > static_cast<int64_t>(limits::kTemplateRange)) return type_error("batch too large");
      line.resize(static_cast<size_t>(count), a[1]);
    }
    out.push_back(rt.list(std::move(line)));
  }
  return rt.iterator(std::move(out));
}

Result<Value> f_slice(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("slice", {"slices", "fill_with"}, 1));
  VERGE_ASSIGN(slices, integer_argument(a[0], "slices"));
  if (slices == 0) return type_error("integer division or modulo by zero");
  if (slices > limits::kTemplateRange) return type_error("too many slices");
  VERGE_ASSIGN(items, rt.iterate(v));
  std::vector<Value> out;
  int64_t n = static_cast<int64_t>(items.count), offset = 0;
  for (int64_t i = 0; i < slices; ++i) {
    int64_t start = offset + i * (n / slices);
    if (i < n % slices) ++offset;
    int64_t end = offset + (i + 1) * (n / slices);
    std::vector<Value> part(items.begin() + start, items.begin() + end);
    if (given(a[1]) && i >= n % slices) part.push_back(a[1]);
    out.push_back(rt.list(std::move(part)));
  }
  return rt.iterator(std::move(out));
}

Result<Value> f_attr(Runtime& rt, const Value& v, const Args& args) {
  VERGE_ASSIGN(a, args.bind("attr", {"name"}, 1));
  if (!a[0].is(Kind::String)) return type_error("attribute name must be string");
  if (v.undefined()) return undefined_error(v);
  bool unsafe = false;
  // Attributes only: a dict's keys are none.
  if (v.is(Kind::Dict) && !find_method(v.kind(), a[0].text(), unsafe) && !unsafe) {
    return rt.undefined(fmt::format("'{}' has no attribute {}", describe(v), text::repr(a[0].text())));
  }
  return rt.attribute(v, a[0].text());
}

Result<Value> f_map(Runtime& rt, const Value& v, const Args& args) {
  std::vector<Value> out;
  if (!truth(v)) return rt.iterator({});
  Value attribute, otherwise;
  Filter filter = nullptr;
  Args rest = args;
  if (args.positional.empty()) {
    for (const auto& [name, value] : args.named) {
      if (name == "attribute") attribute = value;
      else if (name == "default") otherwise = value;
      else return type_error("Unexpected keyword argument " + text::repr(name));
    }
    if (attribute.missing()) return type_error("map requires a filter argument");
  } else {
    if (!args.positional[0].is(Kind::String)) return type_error("map requires the name of a filter");
    filter = find_filter(args.positional[0].text());
    if (!filter) return type_error(fmt::format("No filter named {}.", text::repr(args.positional[0].text())));
    rest.positional.erase(rest.positional.begin());
  }
  VERGE_ASSIGN(items, rt.iterate(v));
  for (const Value& item : items) {
    VERGE_TRY(rt.spend());
    VERGE_ASSIGN(mapped, filter ? filter(rt, item, rest) : get_attribute(rt, item, attribute, otherwise));
    out.push_back(std::move(mapped));
  }
  return rt.iterator(std::move(out));
}

template <bool keep, bool by_attribute>
Result<Value> f_select(Runtime& rt, const Value& v, const Args& args) {
  if (!truth(v)) return rt.iterator({});
  Args rest = args;
  Value attribute;
  if (by_attribute) {
    if (rest.positional.empty()) return type_error("Missing parameter for attribute name");
    attribute = rest.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  Filter test = nullptr;
  if (!rest.positional.empty()) {
    if (!rest.positional[0].is(Kind::String)) return type_error("select requires the name of a test");
    test = find_test(rest.positional[0].text());
    if (!test) return type_error(fmt::format("No test named {}.", text::repr(rest.positional[0].text())));
    rest.positional.erase(rest.positional.begin());
  }
  std::vector<Value> out;
  VERGE_ASSIGN(items, rt.iterate(v));
  for (const Value& item : items) {
    VERGE_TRY(rt.spend());
    VERGE_ASSIGN(looked_at, get_attribute(rt, item, attribute));
    bool good = truth(looked_at);
    if (test) {
      VERGE_ASSIGN(result, test(rt, looked_at, rest));
      good = truth(result);
    }
    if (good == keep) out.push_back(item);
  }
  return rt.iterator(std::move(out));
}

struct Named {
  std::string_view name;
  Filter function;
};

constexpr Named kFilters[] = {
    {"abs", f_abs},
    {"attr", f_attr},
    {"batch", f_batch},
    {"capitalize", f_capitalize},
    {"center", f_center},
    {"count", f_length},
    {"d", f_default},
    {"default", f_default},
    {"dictsort", f_dictsort},
    {"e", f_escape},
    {"escape", f_escape},
    {"filesizeformat", f_filesizeformat},
    {"first", f_first},
    {"float", f_float},
    {"forceescape", f_forceescape},
    {"format", f_format},
    {"groupby", f_groupby},
    {"indent", f_indent},
    {"int", f_int},
    {"items", f_items},
    {"join", f_join},
    {"last", f_last},
    {"length", f_length},
    {"list", f_list},
    {"lower", f_lower},
    {"map", f_map},
    {"max", f_extreme<true>},
    {"min", f_extreme<false>},
    {"reject", f_select<false, false>},
    {"rejectattr", f_select<false, true>},
    {"replace", f_replace},
    {"reverse", f_reverse},
    {"round", f_round},
    {"safe", f_safe},
    {"select", f_select<true, false>},
    {"selectattr", f_select<true, true>},
    {"slice", f_slice},
    {"sort", f_sort},
    {"string", f_string},
    {"sum", f_sum},
    {"title", f_title},
    {"tojson", f_tojson},
    {"trim", f_trim},
    {"truncate", f_truncate},
    {"unique", f_unique},
    {"upper", f_upper},
    {"urlencode", f_urlencode},
    {"wordcount", f_wordcount},
    {"xmlattr", f_xmlattr},
};
static_assert(std::is_sorted(std::begin(kFilters), std::end(kFilters), [](const Named& a, const Named& b) { return a.name < b.name; }));

}  // namespace

Filter find_filter(std::string_view name) {
  auto it = std::lower_bound(std::begin(kFilters), std::end(kFilters), name, [](const Named& f, std::string_view key) { return f.name < key; });
  return it != std::end(kFilters) && it->name == name ? it->function : nullptr;
}

bool filter_not_supported(std::string_view name) {
  // pprint and wordwrap follow Python's own layout rules, random has no seed, the others make HTML.
  for (std::string_view known : {"pprint", "random", "striptags", "urlize", "wordwrap"}) {
    if (name == known) return true;
  }
  return false;
}

}  // namespace verge::engine::jinja
