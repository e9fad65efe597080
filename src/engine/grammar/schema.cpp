#include "engine/grammar/schema.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "engine/grammar/bounds.h"
#include "engine/grammar/formats.h"
#include "engine/grammar/gbnf.h"
#include "engine/grammar/json_tree.h"
#include "engine/grammar/numbers.h"
#include "engine/grammar/pattern.h"
#include "engine/grammar/references.h"

namespace verge::engine::grammar {
namespace {

enum Types : uint8_t { kNull = 1, kFalse = 2, kTrue = 4, kNumber = 8, kString = 16, kArray = 32, kObject = 64, kEvery = 127 };

// A node of the schema's document and how it binds a value: node number * 4 + kind.
using Term = uint32_t;
enum TermKind : uint32_t { kMeets = 0, kFails = 1, kEquals = 2, kDiffers = 3 };
Term term(const Json& node, TermKind kind = kMeets) { return node.number * 4 + kind; }
Term opposite(Term t) { return t ^ 1; }

// What a merge has found so far at one place, in one branch.
struct Merged {
  struct Blame {
    const Json* node = nullptr;
    const char* keyword = "";
  };
  struct ObjectPart {  // properties, patternProperties and additionalProperties of one schema
    const Json* properties = nullptr;
    const Json* patterns = nullptr;
    const Json* additional = nullptr;
  };
  struct ArrayPart {
    std::vector<Term> prefix;
    std::optional<Term> items;
  };
  struct Contains {
    Term term;
    uint32_t least, most;
    const Json* node;
  };
  unsigned types = kEvery;
  bool integer = false;
  Lang number = Languages::kAll, string = Languages::kAll;
  std::vector<ArrayPart> arrays;
  std::vector<std::pair<uint32_t, Term>> elements;
  uint32_t least_items = 0, most_items = kUnbounded;
  std::vector<Contains> contains;
  const Json* unique = nullptr;
  std::vector<ObjectPart> objects;
  std::vector<std::pair<std::string_view, Term>> fixed;  // values of single keys
  std::vector<std::string_view> required, absent;
  std::vector<ObjectPart> surplus;  // at least one key that is not declared there
  uint32_t least_properties = 0, most_properties = kUnbounded;
  bool lacks = false;  // told apart from others by what it lacks or must not meet
  std::vector<Term> names;
  Blame type_blame, string_blame, number_blame, array_blame, object_blame;
};

struct Chain {  // schemas that led to this one at the same place
  const Json* node;
  const Chain* outer;
};

struct Item {
  enum Kind : uint8_t {
    Schema, NotSchema, Equal, Differ, Scalars, NotScalars, TypeIs, TypeIsNot, StringIn, NumberIn, Required, Absent, Property,
    LeastItems, MostItems, LeastProperties, MostProperties, Element, Elements, Contains, Surplus
  };
  Item(Kind k, const Json* about, const char* word = "") : kind(k), node(about), keyword(word) {}
  Kind kind;
  const Json* node = nullptr;      // the schema, the value, or what an error is about
  const char* keyword = "";
  uint64_t n = 0, m = 0;           // types, a Lang, a count, an index
  std::string_view name;
  Term value = 0;
  const Chain* chain = nullptr;
};
using Option = std::vector<Item>;

struct Work {
  Merged merged;
  std::vector<Item> todo;
  std::vector<std::vector<Option>> choices;
};

const std::set<std::string_view> kUnsupported = {"$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties",
                                                 "disallow", "extends", "divisibleBy"};

class Compiler {
 public:
  Compiler(const JsonTree& tree, Rules& rules, bool collection = false)
      : tree_(tree),
        references_(tree, collection),
        out_(rules),
        l_(rules.languages),
        numbers_(rules.languages) {}

  Result<void> run() {
    std::vector<uint32_t> roots;
    VERGE_TRY(run({&tree_.root()}, roots));
    out_.root = roots[0];
    return {};
  }
  // `roots`: rules of the nodes, which are schemas.
  Result<void> run(const std::vector<const Json*>& nodes, std::vector<uint32_t>& roots) {
    out_.rules.emplace_back();
    for (const Json* node : nodes) {
      if (const Json* draft = node->find("$schema");
          draft && draft->type == Json::String &&
          draft->text.find("json-schema.org") == std::string::npos)
        refuse(*node, "$schema", "an unknown dialect of JSON Schema");
      roots.push_back(rule({term(*node)}));
    }
    for (size_t i = 1; i < out_.rules.size() && !failed(); ++i) make(static_cast<uint32_t>(i));
    if (!failed()) keep(), measure();
    for (size_t i = 0; i < nodes.size() && !failed(); ++i)
      if (height(roots[i]) > bounds::kDepth) unsatisfied(roots[i], *nodes[i]);
    if (failed()) return fail(Code::InvalidInput, "{}", error_);
    return {};
  }

 private:
  const Json& document(const Json& node) const {
    const Json* at = &node;
    while (at->parent && (at->parent->parent || at->parent->type != Json::Array)) at = at->parent;
    return *at;
  }
  bool failed() {
    if (error_.empty() && l_.exceeded()) error_ = "the schema needs more memory than a grammar may have";
    return !error_.empty();
  }
  void refuse(const Json& node, std::string_view keyword, std::string_view what) {
    if (shallow_ > 0) soft_fault_ = true;
    if (shallow_ > 0 || !error_.empty()) return;
    error_ = "at '" + pointer(node) + "'" + (keyword.empty() ? "" : " (" + std::string(keyword) + ")") + ": " + std::string(what);
  }

  // The rule of the values that meet all terms.
  uint32_t rule(std::vector<Term> terms) {
    std::erase_if(terms, [&](Term t) {
      const Json& n = tree_.node(t >> 2);
      return (t & 3) == kMeets && (n.type == Json::True || (n.type == Json::Object && n.items.empty()));
    });
    std::sort(terms.begin(), terms.end());
    terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
    for (size_t i = 0; i < terms.size(); ++i) {
      if ((terms[i] & 3) == kMeets && tree_.node(terms[i] >> 2).type == Json::False) return kNoRule;
      if (i > 0 && terms[i] == opposite(terms[i - 1]) && (terms[i] & 1)) return kNoRule;
    }
    const auto [it, fresh] = by_terms_.try_emplace(terms, static_cast<uint32_t>(out_.rules.size()));
    if (fresh) {
      if (out_.rules.size() >= bounds::kRules)
        refuse(terms.empty() ? tree_.root() : tree_.node(terms[0] >> 2), "", "the schema tells too many places apart");
      out_.rules.emplace_back();
      terms_.resize(out_.rules.size());
      terms_.back() = std::move(terms);
      blames_.resize(out_.rules.size());
    }
    return it->second;
  }

  // ------------------------------------------------------------------ alternatives

  std::vector<Merged> expand(const std::vector<Term>& terms) {
    Work work;
    for (Term t : terms) work.todo.push_back(item_of(t, nullptr));
    std::vector<Merged> out;
    branch(std::move(work), out);
    return out;
  }

  Item item_of(Term t, const Chain* chain) {
    static constexpr Item::Kind kinds[] = {Item::Schema, Item::NotSchema, Item::Equal, Item::Differ};
    Item item{kinds[t & 3], &tree_.node(t >> 2)};
    item.chain = chain;
    return item;
  }

  void branch(Work work, std::vector<Merged>& out) {
    size_t next = 0;
    while (true) {
      while (!work.todo.empty()) {
        if (failed()) return;
        if (++steps_ > bounds::kExpansion) return refuse(tree_.root(), "", "merging its parts takes too many steps");
        const Item item = work.todo.back();
        work.todo.pop_back();
        apply(work, item);
        if (work.merged.types == 0) {
          if (!blame_.node) blame_ = work.merged.type_blame;
          return;
        }
      }
      if (next == work.choices.size()) break;
      const std::vector<Option> options = std::move(work.choices[next++]);
      if (options.size() == 1) {
        work.todo = options[0];
        continue;
      }
      for (const Option& option : options) {
        Work copy;
        copy.merged = work.merged;
        copy.todo = option;
        copy.choices.assign(work.choices.begin() + static_cast<ptrdiff_t>(next), work.choices.end());
        branch(std::move(copy), out);
        if (failed()) return;
      }
      return;
    }
    if (out.size() >= bounds::kAlternatives)
      return refuse(tree_.root(), "", "a place of it has too many alternatives");
    out.push_back(std::move(work.merged));
  }

  void limit_types(Merged& m, unsigned types, const Json* node, const char* keyword) {
    if ((m.types & types) != m.types) m.type_blame = {node, keyword};
    m.types &= types;
  }

  void apply(Work& w, const Item& item) {
    Merged& m = w.merged;
    const Json& node = *item.node;
    switch (item.kind) {
      case Item::Schema: return schema(w, node, item.chain);
      case Item::NotSchema: m.lacks = true; return not_schema(w, node, item.chain);
      case Item::Equal: return equal_to(w, node);
      case Item::Differ: return differ_from(w, node);
      case Item::Scalars: return scalars(m, node, true);
      case Item::NotScalars: return scalars(m, node, false);
      case Item::TypeIs: return limit_types(m, static_cast<unsigned>(item.n), &node, item.keyword);
      case Item::TypeIsNot: return limit_types(m, kEvery & ~static_cast<unsigned>(item.n), &node, item.keyword);
      case Item::StringIn:
        m.string = l_.both(m.string, static_cast<Lang>(item.n));
        m.string_blame = {&node, item.keyword};
        return;
      case Item::NumberIn:
        m.number = l_.both(m.number, static_cast<Lang>(item.n));
        m.number_blame = {&node, item.keyword};
        return;
      case Item::Required:
        if (std::find(m.required.begin(), m.required.end(), item.name) == m.required.end()) m.required.push_back(item.name);
        m.object_blame = {&node, item.keyword};
        return;
      case Item::Absent:
        m.lacks = true;
        m.absent.push_back(item.name);
        m.object_blame = {&node, item.keyword};
        return;
      case Item::Property: m.fixed.emplace_back(item.name, item.value); return;
      case Item::LeastItems:
        m.least_items = std::max(m.least_items, static_cast<uint32_t>(item.n));
        m.array_blame = {&node, item.keyword};
        return;
      case Item::MostItems:
        m.most_items = std::min(m.most_items, static_cast<uint32_t>(item.n));
        m.array_blame = {&node, item.keyword};
        return;
      case Item::LeastProperties:
        m.least_properties = std::max(m.least_properties, static_cast<uint32_t>(item.n));
        m.object_blame = {&node, item.keyword};
        return;
      case Item::MostProperties:
        m.most_properties = std::min(m.most_properties, static_cast<uint32_t>(item.n));
        m.object_blame = {&node, item.keyword};
        return;
      case Item::Element: m.elements.emplace_back(static_cast<uint32_t>(item.n), item.value); return;
      case Item::Elements: m.arrays.push_back({{}, item.value}); return;
      case Item::Contains:
        m.contains.push_back({item.value, static_cast<uint32_t>(item.n), static_cast<uint32_t>(item.m), &node});
        m.array_blame = {&node, "contains"};
        return;
      case Item::Surplus: m.surplus.push_back({node.find("properties"), node.find("patternProperties"), nullptr}); return;
    }
  }

  Item make_item(Item::Kind kind, const Json& node, const char* keyword, uint64_t n = 0) {
    Item item{kind, &node, keyword};
    item.n = n;
    return item;
  }
  Item named(Item::Kind kind, const Json& node, const char* keyword, std::string_view name, Term value = 0) {
    Item item{kind, &node, keyword};
    item.name = name;
    item.value = value;
    return item;
  }
  Item valued(Item::Kind kind, const Json& node, Term value, uint64_t n = 0, uint64_t m = 0) {
    Item item{kind, &node};
    item.value = value;
    item.n = n;
    item.m = m;
    return item;
  }

  // ------------------------------------------------------------------ reading keywords

  std::optional<unsigned> type_mask(const Json& schema, bool* integer) {
    const Json* type = schema.find("type");
    unsigned mask = 0;
    *integer = false;
    const auto one = [&](const Json& t) {
      if (t.type != Json::String) return false;
      if (t.text == "null") mask |= kNull;
      else if (t.text == "boolean") mask |= kFalse | kTrue;
      else if (t.text == "string") mask |= kString;
      else if (t.text == "array") mask |= kArray;
      else if (t.text == "object") mask |= kObject;
      else if (t.text == "number") mask |= kNumber, *integer = false, any_number_ = true;
      else if (t.text == "integer") mask |= kNumber, *integer |= !any_number_;
      else return false;
      return true;
    };
    any_number_ = false;
    bool good = true;
    if (type->type == Json::Array) {
      good = !type->items.empty();
      for (const Json* t : type->items) good = good && one(*t);
    } else {
      good = one(*type);
    }
    if (!good) return refuse(schema, "type", "it must be one of null, boolean, integer, number, string, array, object, or a list of them"), std::nullopt;
    return mask;
  }

  // A count; nullopt (and an error) where it is no natural number.
  std::optional<uint32_t> count(const Json& schema, const char* keyword, const Json& value) {
    const auto d = value.type == Json::Number ? parse_decimal(value.text) : std::nullopt;
    const auto n = d ? natural(*d) : std::nullopt;
    if (!n) refuse(schema, keyword, "it must be a natural number");
    return n;
  }
  std::optional<Decimal> decimal(const Json& schema, const char* keyword, const Json& value) {
    const auto d = value.type == Json::Number ? parse_decimal(value.text) : std::nullopt;
    if (!d) refuse(schema, keyword, "it must be a number of at most 1,000 digits");
    return d;
  }
  // The set of a pattern at `place` of the document.
  Lang pattern(const Json& schema, const char* keyword, const Json& place, std::string_view text) {
    if (const auto it = patterns_.find(place.number); it != patterns_.end()) return it->second;
    Result<Lang> parsed = parse_pattern(l_, text, Match::Search);
    if (!parsed) {
      refuse(std::string_view(keyword) == "patternProperties" ? place : schema, keyword, parsed.error().message);
      return patterns_[place.number] = Languages::kNone;
    }
    return patterns_[place.number] = *parsed;
  }
  bool subschema(const Json& schema, const char* keyword, const Json& value) {
    if (value.type == Json::Object || value.boolean()) return true;
    return refuse(schema, keyword, "a schema must be an object, true or false"), false;
  }
  bool subschemas(const Json& schema, const char* keyword, const Json& list) {
    if (list.type != Json::Array || list.items.empty()) return refuse(schema, keyword, "it must be a list of schemas that is not empty"), false;
    for (const Json* s : list.items)
      if (!subschema(schema, keyword, *s)) return false;
    return true;
  }
  bool schema_map(const Json& schema, const char* keyword, const Json& map) {
    if (map.type != Json::Object) return refuse(schema, keyword, "it must be an object of schemas"), false;
    if (!checked_.insert(map.number).second) return true;
    for (const Json* s : map.items)
      if (!subschema(schema, keyword, *s)) return false;
    return true;
  }
  bool names(const Json& schema, const char* keyword, const Json& list) {
    if (list.type != Json::Array) return refuse(schema, keyword, "it must be a list of names"), false;
    for (const Json* s : list.items)
      if (s->type != Json::String) return refuse(schema, keyword, "it must be a list of names"), false;
    return true;
  }

  // The bounds of numbers as one set; draft 4 has booleans beside them.
  std::optional<Lang> bound(const Json& schema, const char* keyword, const Json& value) {
    const std::string_view k = keyword;
    const bool low = k == "minimum" || k == "exclusiveMinimum";
    bool exclusive = k.starts_with("exclusive");
    if (exclusive && value.boolean()) return Languages::kAll;  // read with minimum or maximum
    if (!exclusive) {
      const Json* word = schema.find(low ? "exclusiveMinimum" : "exclusiveMaximum");
      exclusive = word && word->type == Json::True;
    }
    const auto d = decimal(schema, keyword, value);
    if (!d) return std::nullopt;
    return low ? numbers_.at_least(*d, exclusive) : numbers_.at_most(*d, exclusive);
  }

  struct ArrayWords {
    std::vector<Term> prefix;
    const Json* prefix_node = nullptr;
    std::optional<Term> items;
  };
  ArrayWords array_words(const Json& s) {
    ArrayWords out;
    const Json *prefix = s.find("prefixItems"), *items = s.find("items"), *additional = s.find("additionalItems");
    if (items && items->type == Json::Array && !prefix) {  // draft 7
      prefix = items;
      items = additional;
      if (!prefix->items.empty() && !subschemas(s, "items", *prefix)) return out;
    } else if (prefix && !subschemas(s, "prefixItems", *prefix)) {
      return out;
    }
    if (items && !subschema(s, "items", *items)) return out;
    out.prefix_node = prefix;
    if (prefix)
      for (const Json* p : prefix->items) out.prefix.push_back(term(*p));
    if (items) out.items = term(*items);
    return out;
  }

  struct ContainsWords {
    Term term = 0;
    uint32_t least = 1, most = kUnbounded;
  };
  std::optional<ContainsWords> contains_words(const Json& s) {
    const Json* c = s.find("contains");
    if (!c || !subschema(s, "contains", *c)) return std::nullopt;
    ContainsWords out{term(*c)};
    if (const Json* n = s.find("minContains")) {
      const auto least = count(s, "minContains", *n);
      if (!least) return std::nullopt;
      out.least = *least;
    }
    if (const Json* n = s.find("maxContains")) {
      const auto most = count(s, "maxContains", *n);
      if (!most) return std::nullopt;
      out.most = *most;
    }
    return out;
  }

  const Json* follow(const Json& s, const Json& ref) {
    if (ref.type != Json::String) return refuse(s, "$ref", "it must be a text"), nullptr;
    const Json* target = references_.resolve(s, ref.text);
    if (!target) return refuse(s, "$ref", "'" + ref.text + "' is not in this document, and nothing is fetched"), nullptr;
    if (!subschema(s, "$ref", *target)) return nullptr;
    return target;
  }

  // ------------------------------------------------------------------ a schema that a value must meet

  void schema(Work& w, const Json& s, const Chain* outer) {
    Merged& m = w.merged;
    if (s.type == Json::True) return;
    if (s.type == Json::False) return limit_types(m, 0, &s, "false");
    if (s.type != Json::Object) return refuse(s, "", "a schema must be an object, true or false");
    for (const Chain* c = outer; c; c = c->outer)
      if (c->node == &s) return refuse(s, "$ref", "it leads back to itself without an end");
    chains_.push_back(std::make_unique<Chain>(Chain{&s, outer}));
    const Chain* chain = chains_.back().get();
    const auto must = [&](const Json& other) {
      Item item{Item::Schema, &other};
      item.chain = chain;
      w.todo.push_back(item);
    };
    const auto choose = [&](std::vector<Option> options) { w.choices.push_back(std::move(options)); };
    const auto met = [&](const Json& other) { return item_of(term(other), chain); };
    const auto broken = [&](const Json& other) { return item_of(term(other, kFails), chain); };

    const Json* ref = s.find("$ref");
    if (ref && ref->type == Json::String && references_.legacy(s)) {
      if (const Json* target = follow(s, *ref)) must(*target);
      return;
    }
    if (ref && s.find("$id") && !document(s).find("$schema"))
      return refuse(s, "$id", "beside a $ref it means other things in other drafts; say which by $schema");
    bool object_words = false, array_words_seen = false, contains_seen = false;
    for (size_t i = 0; i < s.keys.size(); ++i) {
      const std::string& k = s.keys[i];
      const Json& v = *s.items[i];
      if (k == "type") {
        bool integer = false;
        if (const auto mask = type_mask(s, &integer)) {
          limit_types(m, *mask, &s, "type");
          if (integer) {
            m.integer = true;
            m.number = l_.both(m.number, numbers_.integers());
          }
        }
      } else if (k == "$ref") {
        if (const Json* target = follow(s, v)) must(*target);
      } else if (k == "enum") {
        if (v.type != Json::Array || v.items.empty()) return refuse(s, "enum", "it must be a list that is not empty");
        if (v.items.size() > 100'000) return refuse(s, "enum", "it has more than 100,000 values");
        std::vector<Option> options;
        bool scalar = false;
        for (const Json* x : v.items) {
          if (x->type == Json::Array || x->type == Json::Object) options.push_back({item_of(term(*x, kEquals), nullptr)});
          else scalar = true;
        }
        if (scalar) options.insert(options.begin(), Option{make_item(Item::Scalars, v, "enum")});
        choose(std::move(options));
      } else if (k == "const") {
        w.todo.push_back(item_of(term(v, kEquals), nullptr));
      } else if (k == "minimum" || k == "maximum" || k == "exclusiveMinimum" || k == "exclusiveMaximum") {
        if (const auto set = bound(s, k.c_str(), v)) {
          m.number = l_.both(m.number, *set);
          m.number_blame = {&s, k.c_str()};
        }
      } else if (k == "multipleOf") {
        const auto d = decimal(s, "multipleOf", v);
        if (!d) return;
        const auto set = numbers_.multiples(*d);
        if (!set) return refuse(s, "multipleOf", "it must be above 0, and at most 2,000 without its point");
        m.number = l_.both(m.number, *set);
        m.number_blame = {&s, "multipleOf"};
      } else if (k == "minLength" || k == "maxLength") {
        const auto n = count(s, k.c_str(), v);
        if (!n) return;
        m.string = l_.both(m.string, k == "minLength" ? l_.repeat(Languages::kAny, *n, kUnbounded) : l_.repeat(Languages::kAny, 0, *n));
        m.string_blame = {&s, k.c_str()};
      } else if (k == "pattern") {
        if (v.type != Json::String) return refuse(s, "pattern", "it must be a text");
        m.string = l_.both(m.string, pattern(s, "pattern", v, v.text));
        m.string_blame = {&s, "pattern"};
      } else if (k == "format") {
        if (v.type != Json::String) return refuse(s, "format", "it must be a text");
        m.string = l_.both(m.string, format(s, v));
        m.string_blame = {&s, "format"};
      } else if (k == "minItems" || k == "maxItems") {
        const auto n = count(s, k.c_str(), v);
        if (!n) return;
        if (k == "minItems") m.least_items = std::max(m.least_items, *n);
        else m.most_items = std::min(m.most_items, *n);
        m.array_blame = {&s, k.c_str()};
      } else if (k == "uniqueItems") {
        if (!v.boolean()) return refuse(s, "uniqueItems", "it must be true or false");
        if (v.type == Json::True) m.unique = &s;
      } else if (k == "prefixItems" || k == "items" || k == "additionalItems") {
        if (std::exchange(array_words_seen, true)) continue;
        ArrayWords words = array_words(s);
        m.arrays.push_back({std::move(words.prefix), words.items});
        m.array_blame = {&s, k.c_str()};
      } else if (k == "contains" || k == "minContains" || k == "maxContains") {
        if (std::exchange(contains_seen, true)) continue;
        if (const auto c = contains_words(s)) w.todo.push_back(valued(Item::Contains, s, c->term, c->least, c->most));
      } else if (k == "minProperties" || k == "maxProperties") {
        const auto n = count(s, k.c_str(), v);
        if (!n) return;
        if (k == "minProperties") m.least_properties = std::max(m.least_properties, *n);
        else m.most_properties = std::min(m.most_properties, *n);
        m.object_blame = {&s, k.c_str()};
      } else if (k == "required") {
        if (!names(s, "required", v)) return;
        std::unordered_set<std::string_view> have(m.required.begin(), m.required.end());
        for (const Json* name : v.items)
          if (have.insert(name->text).second) m.required.push_back(name->text);
        m.object_blame = {&s, "required"};
      } else if (k == "properties" || k == "patternProperties" || k == "additionalProperties") {
        if (k == "additionalProperties" ? !subschema(s, k.c_str(), v) : !schema_map(s, k.c_str(), v)) return;
        if (std::exchange(object_words, true)) continue;
        m.objects.push_back({s.find("properties"), s.find("patternProperties"), s.find("additionalProperties")});
      } else if (k == "propertyNames") {
        if (!subschema(s, "propertyNames", v)) return;
        m.names.push_back(term(v));
        m.object_blame = {&s, "propertyNames"};
      } else if (k == "dependentRequired" || k == "dependentSchemas" || k == "dependencies") {
        if (v.type != Json::Object) return refuse(s, k, "it must be an object");
        m.lacks = true;
        for (size_t j = 0; j < v.items.size(); ++j) {
          const Json& d = *v.items[j];
          const bool list = d.type == Json::Array && k != "dependentSchemas";
          if (list ? !names(s, k.c_str(), d) : (k == "dependentRequired" || !subschema(s, k.c_str(), d)))
            return refuse(s, k, "each name must have a list of names or a schema");
          if (list && d.items.empty()) continue;
          if (!list && d.type == Json::True) continue;
          Option there{make_item(Item::TypeIs, s, k.c_str(), kObject), named(Item::Required, s, k.c_str(), v.keys[j])};
          if (list)
            for (const Json* name : d.items) there.push_back(named(Item::Required, s, k.c_str(), name->text));
          else
            there.push_back(met(d));
          choose({{make_item(Item::TypeIsNot, s, k.c_str(), kObject)},
                  {make_item(Item::TypeIs, s, k.c_str(), kObject), named(Item::Absent, s, k.c_str(), v.keys[j])},
                  std::move(there)});
        }
      } else if (k == "allOf") {
        if (!subschemas(s, "allOf", v)) return;
        for (size_t j = v.items.size(); j-- > 0;) must(*v.items[j]);
      } else if (k == "anyOf") {
        if (!subschemas(s, "anyOf", v)) return;
        std::vector<Option> options;
        for (const Json* x : v.items) options.push_back({met(*x)});
        choose(std::move(options));
      } else if (k == "oneOf") {
        if (!subschemas(s, "oneOf", v)) return;
        std::vector<Option> options;
        for (size_t a = 0; a < v.items.size(); ++a) {
          Option option;
          if (shallow_ == 0)
            for (size_t b = 0; b < v.items.size(); ++b)
              if (a != b && !disjoint(term(*v.items[a]), term(*v.items[b]), 0)) option.push_back(broken(*v.items[b]));
          option.push_back(met(*v.items[a]));  // the last one is read first
          options.push_back(std::move(option));
        }
        choose(std::move(options));
      } else if (k == "not") {
        if (!subschema(s, "not", v)) return;
        w.todo.push_back(broken(v));
      } else if (k == "if") {
        const Json *then = s.find("then"), *otherwise = s.find("else");
        if (!then && !otherwise) continue;
        if (!subschema(s, "if", v) || (then && !subschema(s, "then", *then)) || (otherwise && !subschema(s, "else", *otherwise))) return;
        m.lacks = true;
        Option yes{met(v)}, no{broken(v)};
        if (then) yes.push_back(met(*then));
        if (otherwise) no.push_back(met(*otherwise));
        choose({std::move(yes), std::move(no)});
      } else if (kUnsupported.contains(k)) {
        if (k.starts_with("unevaluated") && (v.type == Json::True || (v.type == Json::Object && v.items.empty()))) continue;
        return refuse(s, k, "this keyword is not supported");
      }
      if (failed()) return;
    }
  }

  Lang format(const Json& s, const Json& v) {
    if (is_unsupported_format(v.text)) return refuse(s, "format", "the format '" + v.text + "' is not supported"), Languages::kNone;
    const Format* f = find_format(v.text);
    if (!f) return Languages::kAll;
    const auto it = formats_.find(f->name);
    if (it != formats_.end()) return it->second;
    Result<Lang> parsed = parse_pattern(l_, f->pattern, Match::Search);
    if (!parsed) return refuse(s, "format", parsed.error().message), Languages::kNone;
    return formats_[f->name] = *parsed;
  }

  void scalars(Merged& m, const Json& list, bool in) {
    unsigned types = 0;
    std::vector<std::u32string> words;
    std::vector<Lang> numbers;
    for (const Json* x : list.items) {
      switch (x->type) {
        case Json::Null: types |= kNull; break;
        case Json::False: types |= kFalse; break;
        case Json::True: types |= kTrue; break;
        case Json::String: words.push_back(code_points(x->text)); break;
        case Json::Number:
          if (const auto d = decimal(*list.parent, "enum", *x)) numbers.push_back(numbers_.equal(*d));
          break;
        default: break;
      }
    }
    if (in) {
      if (!words.empty()) types |= kString, m.string = l_.both(l_.words(std::move(words)), m.string);
      if (!numbers.empty()) types |= kNumber, m.number = l_.both(l_.either(std::move(numbers)), m.number);
      m.string_blame = m.number_blame = {list.parent, "enum"};
      limit_types(m, types, list.parent, "enum");
    } else {
      if (!words.empty()) m.string = l_.both(m.string, l_.inverse(l_.words(std::move(words))));
      if (!numbers.empty()) m.number = l_.both(m.number, numbers_.inverse(l_.either(std::move(numbers))));
      limit_types(m, kEvery & ~types, list.parent, "not");
    }
  }

  static unsigned type_of(const Json& v) {
    static constexpr unsigned types[] = {kNull, kFalse, kTrue, kNumber, kString, kArray, kObject};
    return types[v.type];
  }

  void equal_to(Work& w, const Json& v) {
    Merged& m = w.merged;
    const Json& about = v.parent ? *v.parent : v;
    limit_types(m, type_of(v), &about, "const");
    if (v.type == Json::String) {
      m.string = l_.both(l_.words({code_points(v.text)}), m.string);
      m.string_blame = {&about, "const"};
    } else if (v.type == Json::Number) {
      if (const auto d = decimal(about, "const", v)) m.number = l_.both(m.number, numbers_.equal(*d));
      m.number_blame = {&about, "const"};
    } else if (v.type == Json::Array) {
      Merged::ArrayPart part;
      for (const Json* x : v.items) part.prefix.push_back(term(*x, kEquals));
      m.arrays.push_back(std::move(part));
      m.least_items = std::max(m.least_items, static_cast<uint32_t>(v.items.size()));
      m.most_items = std::min(m.most_items, static_cast<uint32_t>(v.items.size()));
      m.array_blame = {&about, "const"};
    } else if (v.type == Json::Object) {
      for (size_t i = 0; i < v.items.size(); ++i) {
        m.fixed.emplace_back(v.keys[i], term(*v.items[i], kEquals));
        w.todo.push_back(named(Item::Required, about, "const", v.keys[i]));
      }
      m.least_properties = std::max(m.least_properties, static_cast<uint32_t>(v.items.size()));
      m.most_properties = std::min(m.most_properties, static_cast<uint32_t>(v.items.size()));
      m.object_blame = {&about, "const"};
    }
  }

  void differ_from(Work& w, const Json& v) {
    Merged& m = w.merged;
    const Json& about = v.parent ? *v.parent : v;
    const unsigned type = type_of(v);
    if (v.type == Json::String) {
      m.string = l_.both(m.string, l_.inverse(l_.words({code_points(v.text)})));
    } else if (v.type == Json::Number) {
      if (const auto d = decimal(about, "const", v)) m.number = l_.both(m.number, numbers_.inverse(numbers_.equal(*d)));
    } else if (v.type == Json::Array) {
      const Item array = make_item(Item::TypeIs, about, "not", kArray);
      std::vector<Option> options{{make_item(Item::TypeIsNot, about, "not", kArray)},
                                  {array, make_item(Item::LeastItems, about, "not", v.items.size() + 1)}};
      if (!v.items.empty()) options.push_back({array, make_item(Item::MostItems, about, "not", v.items.size() - 1)});
      for (size_t i = 0; i < v.items.size(); ++i)
        options.push_back({array, make_item(Item::LeastItems, about, "not", i + 1),
                           valued(Item::Element, about, term(*v.items[i], kDiffers), i)});
      w.choices.push_back(std::move(options));
    } else if (v.type == Json::Object) {
      const Item object = make_item(Item::TypeIs, about, "not", kObject);
      std::vector<Option> options{{make_item(Item::TypeIsNot, about, "not", kObject)},
                                  {object, make_item(Item::LeastProperties, about, "not", v.items.size() + 1)}};
      for (size_t i = 0; i < v.items.size(); ++i) {
        options.push_back({object, named(Item::Absent, about, "not", v.keys[i])});
        options.push_back({object, named(Item::Required, about, "not", v.keys[i]),
                           named(Item::Property, about, "not", v.keys[i], term(*v.items[i], kDiffers))});
      }
      w.choices.push_back(std::move(options));
    } else {
      limit_types(m, kEvery & ~type, &about, "not");
    }
  }

  // ------------------------------------------------------------------ a schema that a value must break

  void not_schema(Work& w, const Json& s, const Chain* outer) {
    if (s.type == Json::False) return;
    if (s.type == Json::True) return limit_types(w.merged, 0, &s, "not");
    if (s.type != Json::Object) return refuse(s, "", "a schema must be an object, true or false");
    for (const Chain* c = outer; c; c = c->outer)
      if (c->node == &s) return refuse(s, "$ref", "it leads back to itself without an end");
    chains_.push_back(std::make_unique<Chain>(Chain{&s, outer}));
    const Chain* chain = chains_.back().get();
    const auto met = [&](const Json& other) { return item_of(term(other), chain); };
    const auto broken = [&](const Json& other) { return item_of(term(other, kFails), chain); };
    const auto is = [&](unsigned type) { return make_item(Item::TypeIs, s, "not", type); };
    std::vector<Option> options;
    const Json* ref = s.find("$ref");
    if (ref && ref->type == Json::String && references_.legacy(s)) {
      if (const Json* target = follow(s, *ref)) w.todo.push_back(broken(*target));
      return;
    }
    bool array_words_seen = false, contains_seen = false;
    for (size_t i = 0; i < s.keys.size() && !failed(); ++i) {
      const std::string& k = s.keys[i];
      const Json& v = *s.items[i];
      const auto unsupported = [&] { refuse(s, k, "this keyword is not supported inside 'not', 'if' or branches of 'oneOf' that overlap"); };
      if (k == "type") {
        bool integer = false;
        if (const auto mask = type_mask(s, &integer)) {
          if (*mask != kEvery) options.push_back({make_item(Item::TypeIsNot, s, "not", *mask)});
          if (integer) options.push_back({is(kNumber), make_item(Item::NumberIn, s, "not", numbers_.inverse(numbers_.integers()))});
        }
      } else if (k == "$ref") {
        if (const Json* target = follow(s, v)) options.push_back({broken(*target)});
      } else if (k == "enum") {
        if (v.type != Json::Array || v.items.empty()) return refuse(s, "enum", "it must be a list that is not empty");
        Option option{make_item(Item::NotScalars, v, "not")};
        for (const Json* x : v.items)
          if (x->type == Json::Array || x->type == Json::Object) option.push_back(item_of(term(*x, kDiffers), nullptr));
        options.push_back(std::move(option));
      } else if (k == "const") {
        options.push_back({item_of(term(v, kDiffers), nullptr)});
      } else if (k == "minimum" || k == "maximum" || k == "exclusiveMinimum" || k == "exclusiveMaximum") {
        const auto set = bound(s, k.c_str(), v);
        if (set && *set != Languages::kAll) options.push_back({is(kNumber), make_item(Item::NumberIn, s, "not", numbers_.inverse(*set))});
      } else if (k == "multipleOf") {
        const auto d = decimal(s, "multipleOf", v);
        if (!d) return;
        const auto set = numbers_.multiples(*d);
        if (!set) return refuse(s, "multipleOf", "it must be above 0, and at most 2,000 without its point");
        options.push_back({is(kNumber), make_item(Item::NumberIn, s, "not", numbers_.inverse(*set))});
      } else if (k == "minLength" || k == "maxLength") {
        const auto n = count(s, k.c_str(), v);
        if (!n) return;
        const Lang set = k == "minLength" ? l_.repeat(Languages::kAny, *n, kUnbounded) : l_.repeat(Languages::kAny, 0, *n);
        options.push_back({is(kString), make_item(Item::StringIn, s, "not", l_.inverse(set))});
      } else if (k == "pattern") {
        if (v.type != Json::String) return refuse(s, "pattern", "it must be a text");
        options.push_back({is(kString), make_item(Item::StringIn, s, "not", l_.inverse(pattern(s, "pattern", v, v.text)))});
      } else if (k == "format") {
        if (v.type != Json::String) return refuse(s, "format", "it must be a text");
        if (is_unsupported_format(v.text) || find_format(v.text)) return unsupported();  // a part of it may be all that is known
      } else if (k == "minItems" || k == "maxItems") {
        const auto n = count(s, k.c_str(), v);
        if (!n) return;
        if (k == "minItems" && *n > 0) options.push_back({is(kArray), make_item(Item::MostItems, s, "not", *n - 1)});
        if (k == "maxItems") options.push_back({is(kArray), make_item(Item::LeastItems, s, "not", *n + 1)});
      } else if (k == "minProperties" || k == "maxProperties") {
        const auto n = count(s, k.c_str(), v);
        if (!n) return;
        if (k == "minProperties" && *n > 0) options.push_back({is(kObject), make_item(Item::MostProperties, s, "not", *n - 1)});
        if (k == "maxProperties") options.push_back({is(kObject), make_item(Item::LeastProperties, s, "not", *n + 1)});
      } else if (k == "uniqueItems") {
        if (v.type == Json::True) return unsupported();
      } else if (k == "prefixItems" || k == "items" || k == "additionalItems") {
        if (std::exchange(array_words_seen, true)) continue;
        const ArrayWords words = array_words(s);
        for (size_t j = 0; j < words.prefix.size(); ++j)
          options.push_back({is(kArray), make_item(Item::LeastItems, s, "not", j + 1), valued(Item::Element, s, opposite(words.prefix[j]), j)});
        if (words.items) {
          const Json& items = tree_.node(*words.items >> 2);
          if (items.type == Json::True) continue;
          if (words.prefix.empty()) options.push_back({is(kArray), valued(Item::Contains, s, opposite(*words.items), 1, kUnbounded)});
          else if (items.type == Json::False) options.push_back({is(kArray), make_item(Item::LeastItems, s, "not", words.prefix.size() + 1)});
          else return unsupported();
        }
      } else if (k == "contains" || k == "minContains" || k == "maxContains") {
        if (std::exchange(contains_seen, true)) continue;
        const auto c = contains_words(s);
        if (!c) continue;
        if (c->least > 0) options.push_back({is(kArray), valued(Item::Contains, s, c->term, 0, c->least - 1)});
        if (c->most != kUnbounded) options.push_back({is(kArray), valued(Item::Contains, s, c->term, c->most + 1, kUnbounded)});
      } else if (k == "required") {
        if (!names(s, "required", v)) return;
        for (const Json* name : v.items) options.push_back({is(kObject), named(Item::Absent, s, "not", name->text)});
      } else if (k == "properties") {
        if (!schema_map(s, "properties", v)) return;
        for (size_t j = 0; j < v.items.size(); ++j) {
          if (v.items[j]->type == Json::True || (v.items[j]->type == Json::Object && v.items[j]->items.empty())) continue;
          options.push_back({is(kObject), named(Item::Required, s, "not", v.keys[j]),
                             named(Item::Property, s, "not", v.keys[j], term(*v.items[j], kFails))});
        }
      } else if (k == "additionalProperties") {
        if (v.type == Json::False) options.push_back({is(kObject), make_item(Item::Surplus, s, "not")});
        else if (v.type != Json::True && !v.items.empty()) return unsupported();
      } else if (k == "patternProperties") {
        if (!schema_map(s, "patternProperties", v)) return;
        for (const Json* x : v.items)
          if (x->type != Json::True && !(x->type == Json::Object && x->items.empty())) return unsupported();
      } else if (k == "propertyNames") {
        if (v.type != Json::True && !(v.type == Json::Object && v.items.empty())) return unsupported();
      } else if (k == "dependentRequired" || k == "dependentSchemas" || k == "dependencies") {
        if (v.type != Json::Object) return refuse(s, k, "it must be an object");
        for (size_t j = 0; j < v.items.size(); ++j) {
          const Json& d = *v.items[j];
          const Option there{is(kObject), named(Item::Required, s, "not", v.keys[j])};
          if (d.type == Json::Array && k != "dependentSchemas") {
            if (!names(s, k.c_str(), d)) return;
            for (const Json* name : d.items) {
              Option option = there;
              option.push_back(named(Item::Absent, s, "not", name->text));
              options.push_back(std::move(option));
            }
          } else {
            if (!subschema(s, k.c_str(), d)) return;
            Option option = there;
            option.push_back(broken(d));
            options.push_back(std::move(option));
          }
        }
      } else if (k == "allOf") {
        if (!subschemas(s, "allOf", v)) return;
        for (const Json* x : v.items) options.push_back({broken(*x)});
      } else if (k == "anyOf") {
        if (!subschemas(s, "anyOf", v)) return;
        Option option;
        for (const Json* x : v.items) option.push_back(broken(*x));
        options.push_back(std::move(option));
      } else if (k == "oneOf") {
        if (!subschemas(s, "oneOf", v)) return;
        Option none;
        for (const Json* x : v.items) none.push_back(broken(*x));
        options.push_back(std::move(none));
        for (size_t a = 0; a < v.items.size(); ++a)
          for (size_t b = a + 1; b < v.items.size(); ++b)
            if (shallow_ > 0 || !disjoint(term(*v.items[a]), term(*v.items[b]), 0)) options.push_back({met(*v.items[a]), met(*v.items[b])});
      } else if (k == "not") {
        if (!subschema(s, "not", v)) return;
        options.push_back({met(v)});
      } else if (k == "if") {
        const Json *then = s.find("then"), *otherwise = s.find("else");
        if (then && subschema(s, "then", *then)) options.push_back({met(v), broken(*then)});
        if (otherwise && subschema(s, "else", *otherwise)) options.push_back({broken(v), broken(*otherwise)});
      } else if (kUnsupported.contains(k)) {
        if (k.starts_with("unevaluated") && (v.type == Json::True || (v.type == Json::Object && v.items.empty()))) continue;
        return unsupported();
      }
    }
    if (options.empty()) return limit_types(w.merged, 0, &s, "not");
    w.choices.push_back(std::move(options));
  }

  // ------------------------------------------------------------------ telling branches apart

  // Supersets of what meets a single schema; nothing is refused while they are made.
  const std::vector<Merged>& outline(Term t) {
    const auto it = outlines_.find(t);
    if (it != outlines_.end()) return it->second;
    ++shallow_;
    soft_fault_ = false;
    std::vector<Merged> found = expand({t});
    --shallow_;
    if (soft_fault_) found.assign(1, Merged{});
    return outlines_.emplace(t, std::move(found)).first->second;
  }

  bool disjoint(Term a, Term b, int depth) {
    if (depth > 3) return false;
    const std::vector<Merged> x = outline(a), y = outline(b);
    if (x.size() * y.size() > 400) return false;
    for (const Merged& m : x)
      for (const Merged& n : y)
        if (!apart(m, n, depth)) return false;
    return true;
  }

  bool apart(const Merged& a, const Merged& b, int depth) {
    unsigned types = a.types & b.types;
    if ((types & kString) && !l_.live(l_.both(a.string, b.string))) types &= ~kString;
    if ((types & kNumber) && !l_.live(l_.both({a.number, b.number, numbers_.all()}))) types &= ~kNumber;
    if ((types & kArray) && (a.least_items > b.most_items || b.least_items > a.most_items)) types &= ~kArray;
    if ((types & kObject) && (keys_apart(a, b, depth) || keys_apart(b, a, depth))) types &= ~kObject;
    return types == 0;
  }

  // A key that `a` requires can't be in `b`, or not with such a value.
  bool keys_apart(const Merged& a, const Merged& b, int depth) {
    for (std::string_view name : a.required) {
      if (std::find(b.absent.begin(), b.absent.end(), name) != b.absent.end()) return true;
      const std::optional<std::vector<Term>> there = value_terms(b, name), here = value_terms(a, name);
      if (!there || !here) return true;
      for (Term x : *here)
        for (Term y : *there)
          if (disjoint(x, y, depth + 1)) return true;
    }
    return false;
  }

  // What the value of a key must meet; nullopt where the key can't be there.
  std::optional<std::vector<Term>> value_terms(const Merged& m, std::string_view name) {
    std::vector<Term> out;
    for (const Merged::ObjectPart& part : m.objects) {
      bool declared = false;
      if (part.properties)
        if (const Json* p = property(*part.properties, name)) declared = true, out.push_back(term(*p));
      if (part.patterns)
        for (size_t i = 0; i < part.patterns->items.size(); ++i) {
          const Json& p = *part.patterns->items[i];
          if (!l_.contains(pattern(*part.patterns->parent, "patternProperties", p, part.patterns->keys[i]), code_points(name))) continue;
          declared = true;
          out.push_back(term(p));
        }
      if (!declared && part.additional) out.push_back(term(*part.additional));
    }
    for (const auto& [fixed, t] : m.fixed)
      if (fixed == name) out.push_back(t);
    for (Term t : out)
      if ((t & 3) == kMeets && tree_.node(t >> 2).type == Json::False) return std::nullopt;
    return out;
  }

  const Json* property(const Json& properties, std::string_view name) {
    if (properties.items.size() < 8) return properties.find(name);
    auto [it, fresh] = property_maps_.try_emplace(properties.number);
    if (fresh)
      for (size_t i = 0; i < properties.keys.size(); ++i) it->second.emplace(properties.keys[i], properties.items[i]);
    const auto found = it->second.find(name);
    return found == it->second.end() ? nullptr : found->second;
  }

  // ------------------------------------------------------------------ alternatives to rules

  void make(uint32_t id) {
    const std::vector<Term> terms = terms_[id];
    blame_ = {};
    const std::vector<Merged> found = expand(terms);
    blames_[id] = blame_;
    std::vector<Lang> strings, raws, once;
    std::vector<std::u32string> literals;
    for (const Merged& m : found) {
      if (failed()) return;
      if (m.types & kNull) literals.push_back(U"null");
      if (m.types & kFalse) literals.push_back(U"false");
      if (m.types & kTrue) literals.push_back(U"true");
      if (m.types & kString) {
        if (l_.live(m.string)) strings.push_back(m.string);
        else blame(id, m.string_blame);
      }
      if (m.types & kNumber) {
        const Lang spelled = m.integer ? l_.both(m.number == numbers_.integers() ? Languages::kAll : m.number, numbers_.plain_integers())
                             : m.number == Languages::kAll ? numbers_.free()
                                                           : l_.both(m.number, numbers_.all());
        if (l_.live(spelled)) {
          raws.push_back(spelled);
          once.push_back(l_.both(spelled, numbers_.canonical()));
        } else {
          blame(id, m.number_blame);
        }
      }
      if (m.types & kArray) array(id, m);
      if (m.types & kObject) object(id, m);
    }
    Rule& r = out_.rules[id];
    const Lang words = l_.words(std::move(literals));
    raws.push_back(words);
    once.push_back(words);
    r.string = l_.either(std::move(strings));
    r.raw = l_.either(std::move(raws));
    r.raw_once = l_.either(std::move(once));
    const auto dedupe = [](std::vector<uint32_t>& list) {
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
    };
    dedupe(r.arrays);
    dedupe(r.objects);
    if (r.string != Languages::kNone || r.raw != Languages::kNone) r.height = 0;
  }

  void blame(uint32_t id, const Merged::Blame& b) {
    if (!blames_[id].node && b.node) blames_[id] = b;
  }

  void array(uint32_t id, const Merged& m) {
    ArrayRule a;
    a.least = m.least_items;
    a.most = m.most_items;
    if (a.least > a.most) return blame(id, m.array_blame);
    size_t length = 0;
    for (const auto& part : m.arrays) length = std::max(length, part.prefix.size());
    for (const auto& [index, t] : m.elements) length = std::max<size_t>(length, index + 1);
    if (length > bounds::kRules) return refuse(tree_.root(), "prefixItems", "it is too long");
    if (m.contains.size() > 1) return refuse(*m.contains[1].node, "contains", "more than one 'contains' for one array is not supported");
    a.contains = !m.contains.empty();
    const auto item_rule = [&](size_t i, int counted) {  // -1: no matter
      std::vector<Term> terms;
      for (const auto& part : m.arrays) {
        if (i < part.prefix.size()) terms.push_back(part.prefix[i]);
        else if (part.items) terms.push_back(*part.items);
      }
      for (const auto& [index, t] : m.elements)
        if (index == i) terms.push_back(t);
      if (counted == 1) terms.push_back(m.contains[0].term);
      if (counted == 0) terms.push_back(opposite(m.contains[0].term));
      return rule(std::move(terms));
    };
    const int other = a.contains && m.contains[0].most != kUnbounded ? 0 : -1;
    for (size_t i = 0; i < length; ++i) {
      a.prefix.push_back(item_rule(i, other));
      if (a.contains) a.prefix_counted.push_back(item_rule(i, 1));
    }
    a.rest = item_rule(SIZE_MAX, other);
    if (a.contains) {
      a.rest_counted = item_rule(SIZE_MAX, 1);
      a.least_counted = m.contains[0].least;
      a.most_counted = m.contains[0].most;
      if (a.least_counted > 1000) return refuse(*m.contains[0].node, "minContains", "at most 1,000 are supported");
      if (a.least_counted > a.most_counted) return blame(id, {m.contains[0].node, "maxContains"});
    }
    if (m.unique) {
      if (a.most <= 1) {
      } else if (a.contains || length > 0) {
        return refuse(*m.unique, "uniqueItems", "it is not supported beside 'contains' or 'prefixItems'");
      } else if (a.least > bounds::kRemembered) {
        return refuse(*m.unique, "uniqueItems", "it is supported with a 'minItems' of at most 200");
      } else {
        a.unique = true;
        unique_nodes_[static_cast<uint32_t>(out_.arrays.size())] = m.unique;
      }
    }
    blame_arrays_.push_back(m.array_blame);
    out_.rules[id].arrays.push_back(static_cast<uint32_t>(out_.arrays.size()));
    out_.arrays.push_back(std::move(a));
  }

  void object(uint32_t id, const Merged& m) {
    // Surplus keys: of those declared elsewhere, or extra ones.
    if (!m.surplus.empty()) {
      Merged rest = m;
      const Merged::ObjectPart part = rest.surplus.back();
      rest.surplus.pop_back();
      std::unordered_set<std::string_view> there;
      if (part.properties) there.insert(part.properties->keys.begin(), part.properties->keys.end());
      std::vector<std::string_view> all;
      for (const auto& o : rest.objects)
        if (o.properties) all.insert(all.end(), o.properties->keys.begin(), o.properties->keys.end());
      for (const auto& [name, t] : rest.fixed) all.push_back(name);
      all.insert(all.end(), rest.required.begin(), rest.required.end());
      std::unordered_set<std::string_view> seen;
      for (std::string_view name : all) {
        if (there.contains(name) || !seen.insert(name).second) continue;
        bool matched = false;
        for (size_t i = 0; part.patterns && i < part.patterns->items.size(); ++i)
          matched |= l_.contains(pattern(*part.patterns->parent, "patternProperties", *part.patterns->items[i], part.patterns->keys[i]),
                                 code_points(name));
        if (matched) continue;
        Merged one = rest;
        if (std::find(one.required.begin(), one.required.end(), name) == one.required.end()) one.required.push_back(name);
        object(id, one);
        if (seen.size() > 200) return refuse(tree_.root(), "additionalProperties", "its negation has too many cases");
      }
      bool open = true;  // extra keys can be there at all
      for (const auto& o : rest.objects) open &= !(o.additional && o.additional->type == Json::False && !o.patterns);
      if (!open) return;
      if (part.patterns || m.surplus.size() > 1)
        return refuse(tree_.root(), "additionalProperties",
                      "its negation is not supported here");
      make_object(id, rest, &part);
      return;
    }
    make_object(id, m, nullptr);
  }

  // With `surplus`, at least one key must be there that is declared neither here nor there.
  void make_object(uint32_t id, const Merged& m, const Merged::ObjectPart* surplus) {
    ObjectRule o;
    o.least = m.least_properties;
    o.most = m.most_properties;
    o.any_order = m.lacks;
    if (o.least > o.most) return blame(id, m.object_blame);
    std::vector<std::string_view> names;
    std::unordered_set<std::string_view> seen;
    for (const auto& part : m.objects)
      if (part.properties)
        for (const std::string& name : part.properties->keys)
          if (seen.insert(name).second) names.push_back(name);
    for (const auto& [name, t] : m.fixed)
      if (seen.insert(name).second) names.push_back(name);
    for (std::string_view name : m.required)
      if (seen.insert(name).second) names.push_back(name);
    for (std::string_view name : m.absent)
      if (seen.insert(name).second) names.push_back(name);
    if (names.size() > bounds::kRules) return refuse(tree_.root(), "properties", "an object has too many");
    const std::unordered_set<std::string_view> required(m.required.begin(), m.required.end()), absent(m.absent.begin(), m.absent.end());
    Lang keys = Languages::kAll;
    if (!m.names.empty()) {
      std::vector<Lang> parts;
      for (const Merged& n : expand(m.names))
        if (n.types & kString) parts.push_back(n.string);
      keys = l_.either(std::move(parts));
      if (failed()) return;
    }
    std::vector<std::u32string> declared;
    for (std::string_view name : names) {
      std::u32string points = code_points(name);
      std::optional<std::vector<Term>> terms;
      if (!absent.contains(name)) terms = value_terms(m, name);
      if (failed()) return;
      const uint32_t value = terms && (keys == Languages::kAll || l_.contains(keys, points)) ? rule(std::move(*terms)) : kNoRule;
      const bool must = required.contains(name);
      if (value == kNoRule && must) return blame(id, m.object_blame);
      declared.push_back(points);
      if (value != kNoRule) o.properties.push_back({std::move(points), value, must});
    }
    if (surplus && surplus->properties)
      for (const std::string& name : surplus->properties->keys)
        if (seen.insert(name).second) declared.push_back(code_points(name));
    if (!declared.empty()) keys = l_.both(keys, l_.inverse(l_.words(std::move(declared))));
    extras(m, keys, o);
    if (failed()) return;
    o.least_extras = surplus ? 1 : 0;
    if (surplus && o.extras.empty()) return;
    blame_objects_.push_back(m.object_blame);
    out_.rules[id].objects.push_back(static_cast<uint32_t>(out_.objects.size()));
    out_.objects.push_back(std::move(o));
  }

  // Keys that are not declared fall into cells by the patterns that they match.
  void extras(const Merged& m, Lang keys, ObjectRule& o) {
    struct Cell {
      Lang keys;
      std::vector<uint32_t> matched;  // patterns
    };
    std::vector<std::pair<Lang, std::pair<size_t, Term>>> patterns;  // set, (part, schema)
    for (size_t p = 0; p < m.objects.size(); ++p)
      if (const Json* map = m.objects[p].patterns)
        for (size_t i = 0; i < map->items.size(); ++i)
          patterns.push_back({pattern(*map->parent, "patternProperties", *map->items[i], map->keys[i]), {p, term(*map->items[i])}});
    std::vector<Cell> cells{{keys, {}}};
    for (uint32_t i = 0; i < patterns.size(); ++i) {
      std::vector<Cell> next;
      for (const Cell& c : cells) {
        const Lang in = l_.both(c.keys, patterns[i].first), out = l_.both(c.keys, l_.inverse(patterns[i].first));
        if (l_.live(in)) {
          Cell cell{in, c.matched};
          cell.matched.push_back(i);
          next.push_back(std::move(cell));
        }
        if (l_.live(out)) next.push_back({out, c.matched});
      }
      cells = std::move(next);
      if (cells.size() > 64) return refuse(tree_.root(), "patternProperties", "their patterns overlap in too many ways");
    }
    for (const Cell& c : cells) {
      if (!l_.live(c.keys)) continue;
      std::vector<Term> terms;
      std::vector<bool> in_part(m.objects.size());
      for (uint32_t i : c.matched) {
        terms.push_back(patterns[i].second.second);
        in_part[patterns[i].second.first] = true;
      }
      for (size_t p = 0; p < m.objects.size(); ++p)
        if (!in_part[p] && m.objects[p].additional) terms.push_back(term(*m.objects[p].additional));
      const uint32_t value = rule(std::move(terms));
      if (value != kNoRule) o.extras.push_back({c.keys, value});
    }
  }

  // ------------------------------------------------------------------ what can be ended, and how deep it gets

  int height(uint32_t rule) const { return rule == kNoRule ? kNoHeight : out_.rules[rule].height; }

  int array_height(const ArrayRule& a) const {
    // Items that must be there: the least deep choice of counted ones.
    int tall = 0;
    uint32_t counted = 0;
    const auto least_of = [&](uint32_t i, bool in) {
      const uint32_t r = i < a.prefix.size() ? (in ? a.prefix_counted[i] : a.prefix[i]) : (in ? a.rest_counted : a.rest);
      return height(r);
    };
    if (!a.contains) {
      for (uint32_t i = 0; i < std::min<size_t>(a.least, a.prefix.size()); ++i) tall = std::max(tall, least_of(i, false));
      if (a.least > a.prefix.size()) tall = std::max(tall, height(a.rest));
      return tall >= kNoHeight ? kNoHeight : tall + 1;
    }
    // With counted items the choice matters: the height is an upper bound (take every counted item as soon as it may be).
    const uint32_t most = a.most;
    for (uint32_t i = 0; i < most; ++i) {
      if (i >= a.least && counted >= a.least_counted) break;
      if (i > a.prefix.size() + a.least + a.least_counted + 1) return kNoHeight;
      const int in = counted < a.most_counted && counted < a.least_counted ? least_of(i, true) : kNoHeight;
      const int out = least_of(i, false);
      if (in < kNoHeight) ++counted, tall = std::max(tall, in);
      else if (out < kNoHeight) tall = std::max(tall, out);
      else if (least_of(i, true) < kNoHeight && counted < a.most_counted) ++counted, tall = std::max(tall, least_of(i, true));
      else return kNoHeight;
    }
    return counted < a.least_counted ? kNoHeight : tall + 1;
  }

  int object_height(const ObjectRule& o) const {
    int tall = 0;
    uint32_t required = 0, open = 0, extra = 0;
    int lowest_extra = kNoHeight;
    for (const auto& p : o.properties) {
      const int h = height(p.rule);
      if (p.required) tall = std::max(tall, h), ++required;
      else if (h < kNoHeight) ++open;
    }
    for (const auto& e : o.extras) lowest_extra = std::min(lowest_extra, height(e.rule));
    if (tall >= kNoHeight) return kNoHeight;
    const uint32_t wanted = std::max(o.least, required + o.least_extras);
    if (wanted > o.most) return kNoHeight;
    if (o.least_extras > 0) {
      if (lowest_extra >= kNoHeight) return kNoHeight;
      tall = std::max(tall, lowest_extra);
    }
    if (o.least > required) {
      extra = o.least - required;
      if (o.endless && lowest_extra < kNoHeight) tall = std::max(tall, lowest_extra);
      else if (open < extra) return kNoHeight;
      else
        for (const auto& p : o.properties)  // an upper bound: any of them may be taken
          if (height(p.rule) < kNoHeight) tall = std::max(tall, height(p.rule));
    }
    return tall + 1;
  }

  void measure() {
    for (ObjectRule& o : out_.objects) {
      std::vector<Lang> parts;
      for (const auto& e : o.extras) parts.push_back(e.keys);
      o.endless = o.least == 0 || (!o.extras.empty() && l_.count(l_.either(std::move(parts)), o.least) >= o.least);
      if (o.least > bounds::kRemembered + o.properties.size())
        return refuse(tree_.root(), "minProperties", "at most 200 more than the declared ones are supported");
    }
    for (uint32_t i = 0; i < out_.arrays.size(); ++i) {
      ArrayRule& a = out_.arrays[i];
      if (!a.unique) continue;
      const Rule& item = out_.rules[a.rest];
      a.unique_string = item.string;
      a.unique_raw = item.raw_once;
    }
    for (bool again = true; again;) {
      again = false;
      for (Rule& r : out_.rules) {
        int best = r.height;
        for (uint32_t i : r.arrays) {
          ArrayRule& a = out_.arrays[i];
          a.height = std::min(a.height, array_height(a));
          best = std::min(best, a.height);
        }
        for (uint32_t i : r.objects) {
          ObjectRule& o = out_.objects[i];
          o.height = std::min(o.height, object_height(o));
          best = std::min(best, o.height);
        }
        if (best < r.height) r.height = best, again = true;
      }
    }
    if (failed()) return;
    prune();
  }

  // Drops what can't be ended, so that nothing leads there.
  void prune() {
    const auto gone = [&](uint32_t r) { return height(r) > bounds::kDepth; };
    for (uint32_t i = 0; i < out_.arrays.size(); ++i) {
      ArrayRule& a = out_.arrays[i];
      for (uint32_t& r : a.prefix) r = gone(r) ? kNoRule : r;
      for (uint32_t& r : a.prefix_counted) r = gone(r) ? kNoRule : r;
      if (gone(a.rest)) a.rest = kNoRule;
      if (gone(a.rest_counted)) a.rest_counted = kNoRule;
      for (uint32_t k = 0; k <= a.prefix.size(); ++k) {  // an item that can't be ends the array
        const uint32_t out = k < a.prefix.size() ? a.prefix[k] : a.rest;
        const uint32_t in = !a.contains ? kNoRule : k < a.prefix.size() ? a.prefix_counted[k] : a.rest_counted;
        if (out == kNoRule && in == kNoRule) a.most = std::min(a.most, k);
        a.highest = std::max({a.highest, out ? height(out) : 0, in ? height(in) : 0});
      }
      if (a.unique && a.rest != kNoRule && a.height < kNoHeight) {
        const Rule& item = out_.rules[a.rest];
        if (!item.arrays.empty() || !item.objects.empty()) {
          if (a.most > 1) return refuse(*unique_nodes_[i], "uniqueItems", "it is supported for items that are strings, numbers and literals only");
        }
        if (a.least > 1) {
          const size_t have = l_.count(a.unique_string, a.least) + l_.count(a.unique_raw, a.least);
          if (have < a.least) a.rest = kNoRule, uniques_ended_ = true;
        }
      }
    }
    if (uniques_ended_) {  // some array has too few values: what needs it can't be either
      uniques_ended_ = false;
      for (Rule& r : out_.rules) {
        std::erase_if(r.arrays, [&](uint32_t i) { return out_.arrays[i].height >= kNoHeight; });
        r.height = r.string != Languages::kNone || r.raw != Languages::kNone ? 0 : kNoHeight;
      }
      for (ArrayRule& a : out_.arrays) a.height = kNoHeight;
      for (ObjectRule& o : out_.objects) o.height = kNoHeight;
      return measure();
    }
    for (ObjectRule& o : out_.objects) {
      std::erase_if(o.properties, [&](auto& p) { return gone(p.rule); });
      std::erase_if(o.extras, [&](auto& e) { return gone(e.rule); });
      o.required_from.assign(o.properties.size() + 1, 0);
      o.open_from.assign(o.properties.size() + 1, 0);
      for (size_t i = o.properties.size(); i-- > 0;) {
        o.required_from[i] = o.required_from[i + 1] + o.properties[i].required;
        o.open_from[i] = o.open_from[i + 1] + 1;
        o.highest = std::max(o.highest, height(o.properties[i].rule));
      }
      for (const auto& e : o.extras) o.highest = std::max(o.highest, height(e.rule));
    }
    for (Rule& r : out_.rules) {
      std::erase_if(r.arrays, [&](uint32_t i) { return out_.arrays[i].height > bounds::kDepth; });
      std::erase_if(r.objects, [&](uint32_t i) { return out_.objects[i].height > bounds::kDepth; });
    }
  }

  // Names the innermost place that nothing can stand at.
  void unsatisfied(uint32_t at, const Json& root) {
    std::set<uint32_t> seen;
    std::string_view keyword = "";
    const Json* node = &root;
    for (bool again = true; again && seen.insert(at).second;) {
      again = false;
      if (!terms_[at].empty()) node = &tree_.node(terms_[at][0] >> 2);
      keyword = "";
      if (blames_[at].node) {
        node = blames_[at].node;
        keyword = blames_[at].keyword;
      }
      uint32_t next = kNoRule;
      for (uint32_t i : all_arrays(at)) {
        const ArrayRule& a = out_.arrays[i];
        for (uint32_t k = 0; k < a.least && next == kNoRule && k <= a.prefix.size(); ++k) {
          const uint32_t r = k < a.prefix.size() ? a.prefix[k] : a.rest;
          if (r != kNoRule && height(r) > bounds::kDepth) next = r;
        }
        if (next == kNoRule && blame_arrays_[i].node) node = blame_arrays_[i].node, keyword = blame_arrays_[i].keyword;
      }
      for (uint32_t i : all_objects(at)) {
        for (uint32_t r : required_[i])
          if (next == kNoRule && r != kNoRule && height(r) > bounds::kDepth) next = r;
        if (next == kNoRule && blame_objects_[i].node) node = blame_objects_[i].node, keyword = blame_objects_[i].keyword;
      }
      if (next != kNoRule) at = next, again = true;
    }
    refuse(*node, keyword, "nothing can satisfy the schema here, or only values nested without an end");
  }
  // Of a rule before anything was dropped.
  const std::vector<uint32_t>& all_arrays(uint32_t rule) { return kept_.at(rule).first; }
  const std::vector<uint32_t>& all_objects(uint32_t rule) { return kept_.at(rule).second; }

  // Keeps what unsatisfied() tells from; called when all rules are made.
  void keep() {
    for (const Rule& r : out_.rules) kept_.emplace_back(r.arrays, r.objects);
    for (const ObjectRule& o : out_.objects) {
      required_.emplace_back();
      for (const auto& p : o.properties)
        if (p.required) required_.back().push_back(p.rule);
    }
  }

  const JsonTree& tree_;
  References references_;
  Rules& out_;
  Languages& l_;
  Numbers numbers_;
  std::string error_;
  size_t steps_ = 0;
  int shallow_ = 0;
  bool any_number_ = false, uniques_ended_ = false, soft_fault_ = false;
  Merged::Blame blame_;
  std::map<std::vector<Term>, uint32_t> by_terms_;
  std::vector<std::vector<Term>> terms_{{}};
  std::vector<Merged::Blame> blames_{{}}, blame_arrays_, blame_objects_;
  std::vector<std::unique_ptr<Chain>> chains_;
  std::unordered_map<uint32_t, Lang> patterns_;
  std::map<std::string_view, Lang> formats_;
  std::unordered_set<uint32_t> checked_;
  std::unordered_map<uint32_t, std::unordered_map<std::string_view, const Json*>> property_maps_;
  std::unordered_map<Term, std::vector<Merged>> outlines_;
  std::unordered_map<uint32_t, const Json*> unique_nodes_;
  std::vector<std::pair<std::vector<uint32_t>, std::vector<uint32_t>>> kept_;
  std::vector<std::vector<uint32_t>> required_;
};

}  // namespace

Result<std::unique_ptr<Rules>> compile_schema(std::string_view schema) {
  Result<JsonTree> tree = JsonTree::parse(schema);
  if (!tree) return fail(Code::InvalidInput, "the schema can't be read: {}", tree.error().message);
  auto rules = std::make_unique<Rules>();
  Compiler compiler(*tree, *rules);
  VERGE_TRY(compiler.run());
  rules->languages.compiled();
  return rules;
}

namespace {

Result<Lang> found_nowhere(Languages& l, std::string_view pattern) {
  VERGE_ASSIGN(found, parse_pattern(l, pattern, Match::Search));
  return l.inverse(found);
}

// The schemas of an envelope's parts as one list, each once, and which of them a part has.
struct Documents {
  std::string text = "[";
  std::vector<std::string_view> all;
  std::vector<size_t> parts;  // the part that a document comes from first

  size_t add(std::string_view schema, size_t part) {
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i] == schema) return i;
    text += (all.empty() ? "" : ",") + std::string(schema);
    all.push_back(schema);
    parts.push_back(part);
    return all.size() - 1;
  }
};

bool has_schema(const EnvelopePart& part) {
  using Kind = EnvelopePart::Kind;
  return part.kind == Kind::Object || part.kind == Kind::Value || part.kind == Kind::RawString;
}

// "at '/3/properties/a' (type): …", by the document, as the part says where it is.
Error placed(const Error& error, const Envelope& envelope, const Documents& documents) {
  const std::string& why = error.message;
  if (!why.starts_with("at '/")) return error;
  const size_t digits = why.find_first_not_of("0123456789", 5);
  const size_t document = static_cast<size_t>(std::stoul(why.substr(5, digits - 5)));
  if (document >= documents.parts.size()) return error;
  return fail(error.code, "'{}{}", envelope.parts[documents.parts[document]].at,
              why.substr(digits));
}

}  // namespace

Result<std::unique_ptr<Rules>> compile_envelope(const Envelope& envelope) {
  using Kind = EnvelopePart::Kind;
  auto rules = std::make_unique<Rules>();
  rules->kind = RootKind::Parts;
  rules->first = envelope.first;
  Languages& l = rules->languages;
  Documents documents;
  std::vector<size_t> of_part(envelope.parts.size());
  for (size_t i = 0; i < envelope.parts.size(); ++i)
    if (has_schema(envelope.parts[i])) of_part[i] = documents.add(envelope.parts[i].text, i);
  documents.text += "]";
  Result<JsonTree> tree = JsonTree::parse(documents.text);
  if (!tree) {
    const std::string at = documents.parts.empty() ? "" : envelope.parts[documents.parts[0]].at;
    return fail(Code::InvalidInput, "'{}' and what stands beside it can't be read: {}", at,
                tree.error().message);
  }
  std::vector<const Json*> nodes;
  for (size_t i = 0; i < envelope.parts.size(); ++i) {
    const EnvelopePart& part = envelope.parts[i];
    if (!has_schema(part)) continue;
    const Json* node = tree->root().items[of_part[i]];
    if (!part.property.empty())
      if (const Json* properties = node->find("properties")) node = properties->find(part.property);
    if (!node) return fail(Code::InvalidInput, "'{}' has no property '{}'", part.at, part.property);
    nodes.push_back(node);
  }
  std::vector<uint32_t> roots;
  Compiler compiler(*tree, *rules, true);
  if (Result<void> made = compiler.run(nodes, roots); !made)
    return placed(made.error(), envelope, documents);
  size_t next_root = 0;
  for (const EnvelopePart& part : envelope.parts) {
    PartRule out;
    out.next = part.next;
    out.last = part.last;
    const uint32_t root = has_schema(part) ? roots[next_root++] : kNoRule;
    if (part.kind == Kind::Pattern) {
      VERGE_ASSIGN(text, parse_pattern(l, part.text, Match::Whole));
      out.text = text;
    } else if (part.kind == Kind::Without) {
      VERGE_ASSIGN(text, found_nowhere(l, part.text));
      out.text = text;
    } else if (part.kind == Kind::RawString) {
      VERGE_ASSIGN(rest, found_nowhere(l, part.without));
      out.text = l.both(rules->rules[root].string, rest);
      if (!l.live(out.text))
        return fail(Code::InvalidInput, "'{}/properties/{}' has no string that can be written",
                    part.at, part.property);
    } else if (part.kind == Kind::Gbnf) {
      out.text = Languages::kEmpty;  // until all parts have their numbers
    } else {
      out.json = true;
      out.rule = root;
      if (part.kind == Kind::Object) {
        Rule only = rules->rules[root];
        only.string = only.raw = only.raw_once = Languages::kNone;
        only.arrays.clear();
        if (only.objects.empty()) return fail(Code::InvalidInput, "'{}' admits no object", part.at);
        out.rule = static_cast<uint32_t>(rules->rules.size());
        rules->rules.push_back(std::move(only));
      }
    }
    if (!out.json && !l.live(out.text))
      return fail(Code::Internal, "a part of a call that no text matches");
    rules->parts.push_back(std::move(out));
  }
  for (uint32_t i = 0; i < envelope.parts.size(); ++i) {
    if (envelope.parts[i].kind != Kind::Gbnf) continue;
    if (Result<void> made = add_gbnf(*rules, i, envelope.parts[i].text); !made)
      return fail_at(Code::InvalidInput, envelope.parts[i].at, "'{}' can't be used: {}",
                     envelope.parts[i].at, made.error().message);
  }
  if (l.exceeded()) return fail(Code::InvalidInput, "it needs more memory than a grammar may have");
  l.compiled();
  return rules;
}

}  // namespace verge::engine::grammar
