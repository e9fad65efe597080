#include <algorithm>
#include <array>
#include <cmath>

#include "engine/templates/jinja_format.h"
#include "engine/templates/jinja_runtime.h"
#include "engine/templates/jinja_text.h"
#include "support/limits.h"

// Design: the methods of Python's types, one small function each, in one sorted table a type.
// Methods that change their object are named in the tables too, as the ones that the sandbox
// refuses; those of Python that templates have no use for (encode, translate …) are absent, so that
// using them is an error.
namespace verge::engine::jinja {
namespace {

using Arguments = std::vector<Value>;

Result<std::string_view> text_argument(const Value& v, std::string_view function) {
  if (v.undefined()) return undefined_error(v);
  if (!v.is(Kind::String)) return type_error(fmt::format("{}() argument must be str, not {}", function, type_name(v)));
  return v.text();
}

Value same_kind(Runtime& rt, const Value& self, ForeignText text) {
  return rt.string(std::move(text), self.markup());
}

// Views of self's text as values.
std::vector<Value> pieces(Runtime& rt, const std::vector<std::string_view>& parts,
                          const Value& self) {
  std::vector<Value> out;
  out.reserve(parts.size());
  for (std::string_view part : parts) out.push_back(rt.part(self, part));
  return out;
}

// What `v`, a String, is when put into a text that is marked as safe or is not.
ForeignText put_in(const Value& v, bool into_markup) {
  ForeignText text;
  text.append(v.text(), v.foreign(), 0);
  return escaped(text, into_markup && !v.markup());
}

// ---- str ----

template <std::string (*convert)(std::string_view)>
Result<Value> str_case(Runtime& rt, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("str", {}, 0));
  VERGE_TRY(rt.spend(1 + self.text().size() / 64));
  return same_kind(rt, self, with_origin(self, convert(self.text()), convert));
}

template <text::Side side>
Result<Value> str_strip(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("strip", {"chars"}, 0));
  std::optional<std::string_view> chars;
  if (!a[0].missing() && !a[0].is(Kind::None)) {
    VERGE_ASSIGN(given, text_argument(a[0], "strip"));
    chars = given;
  }
  return rt.part(self, text::strip(self.text(), chars, side));
}

template <bool from_right>
Result<Value> str_split(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("split", {"sep", "maxsplit"}, 0));
  std::optional<std::string_view> separator;
  if (!a[0].missing() && !a[0].is(Kind::None)) {
    VERGE_ASSIGN(given, text_argument(a[0], "split"));
    if (given.empty()) return type_error("empty separator");
    separator = given;
  }
  int64_t max = -1;
  if (!a[1].missing()) {
    VERGE_ASSIGN(given, integer_argument(a[1], "maxsplit"));
    max = given;
  }
  VERGE_TRY(rt.reserve(self.text().size()));
  auto parts = from_right ? text::rsplit(self.text(), separator, max) : text::split(self.text(), separator, max);
  VERGE_TRY(rt.spend(parts.size()));
  return rt.list(pieces(rt, parts, self));
}

Result<Value> str_splitlines(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("splitlines", {"keepends"}, 0));
  auto parts = text::splitlines(self.text(), truth(a[0]));
  VERGE_TRY(rt.spend(parts.size()));
  return rt.list(pieces(rt, parts, self));
}

template <bool from_right>
Result<Value> str_partition(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("partition", {"sep"}, 1));
  VERGE_ASSIGN(separator, text_argument(a[0], "partition"));
  if (separator.empty()) return type_error("empty separator");
  std::string_view s = self.text();
  size_t at = from_right ? s.rfind(separator) : s.find(separator);
  std::vector<std::string_view> parts;
  if (at == std::string_view::npos) parts = from_right ? std::vector<std::string_view>{"", "", s} : std::vector<std::string_view>{s, "", ""};
  else parts = {s.substr(0, at), s.substr(at, separator.size()), s.substr(at + separator.size())};
  return rt.tuple(pieces(rt, parts, self));
}

// The part of `self` that optional start and end arguments (code points) leave, and where it begins.
struct Window {
  std::string_view text;
  int64_t start = 0;   // code points before it
  bool valid = true;   // false: start past the end, where not even "" is found
};

Result<Window> window(std::string_view s, const Value& start, const Value& end) {
  if ((start.missing() || start.is(Kind::None)) && (end.missing() || end.is(Kind::None))) return Window{s, 0, true};
  int64_t n = static_cast<int64_t>(text::length(s)), from = 0, to = n;
  if (!start.missing() && !start.is(Kind::None)) {
    VERGE_ASSIGN(given, integer_argument(start, "start"));
    from = given < 0 ? std::max<int64_t>(given + n, 0) : given;
  }
  if (!end.missing() && !end.is(Kind::None)) {
    VERGE_ASSIGN(given, integer_argument(end, "end"));
    to = given < 0 ? std::max<int64_t>(given + n, 0) : std::min(given, n);
  }
  if (from > to) return Window{std::string_view(), from, false};
  size_t a = text::offset(s, static_cast<size_t>(from));
  size_t b = a + text::offset(s.substr(a), static_cast<size_t>(to - from));
  return Window{s.substr(a, b - a), from, true};
}

template <bool at_end>
Result<Value> str_affix(Runtime&, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind(at_end ? "endswith" : "startswith", {"prefix", "start", "end"}, 1));
  VERGE_ASSIGN(w, window(self.text(), a[1], a[2]));
  auto matches = [&](const Value& v) -> Result<bool> {
    VERGE_ASSIGN(affix, text_argument(v, at_end ? "endswith" : "startswith"));
    return w.valid && (at_end ? w.text.ends_with(affix) : w.text.starts_with(affix));
  };
  if (!a[0].is(Kind::Tuple)) {
    VERGE_ASSIGN(yes, matches(a[0]));
    return Value::boolean(yes);
  }
  for (const Value& v : a[0].items()) {
    VERGE_ASSIGN(yes, matches(v));
    if (yes) return Value::boolean(true);
  }
  return Value::boolean(false);
}

// find, rfind, index, rindex
template <bool from_right, bool must>
Result<Value> str_find(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("find", {"sub", "start", "end"}, 1));
  VERGE_ASSIGN(needle, text_argument(a[0], "find"));
  VERGE_ASSIGN(w, window(self.text(), a[1], a[2]));
  VERGE_TRY(rt.spend(1 + self.text().size() / 64));
  size_t at = !w.valid ? std::string_view::npos : from_right ? w.text.rfind(needle) : w.text.find(needle);
  if (at == std::string_view::npos) {
    if (must) return type_error("substring not found");
    return Value::integer(-1);
  }
  return Value::integer(w.start + static_cast<Int>(text::length(w.text.substr(0, at))));
}

Result<Value> str_count(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("count", {"sub", "start", "end"}, 1));
  VERGE_ASSIGN(needle, text_argument(a[0], "count"));
  VERGE_ASSIGN(w, window(self.text(), a[1], a[2]));
  VERGE_TRY(rt.spend(1 + self.text().size() / 64));
  if (!w.valid) return Value::integer(0);
  if (needle.empty()) return Value::integer(static_cast<Int>(text::length(w.text)) + 1);
  Int n = 0;
  for (size_t at = w.text.find(needle); at != std::string_view::npos; at = w.text.find(needle, at + needle.size())) ++n;
  return Value::integer(n);
}

Result<Value> str_replace(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("replace", {"old", "new", "count"}, 2));
  VERGE_ASSIGN(from, text_argument(a[0], "replace"));
  VERGE_TRY(text_argument(a[1], "replace"));
  const ForeignText to = put_in(a[1], self.markup());
  int64_t left = -1;
  if (!a[2].missing()) {
    VERGE_ASSIGN(count, integer_argument(a[2], "count"));
    left = count;
  }
  std::string_view s = self.text();
  VERGE_TRY(rt.reserve(s.size()));
  ForeignText out;
  if (from.empty()) {
    // Between all characters, and at both ends.
    for (size_t pos = 0;;) {
      if (left != 0) out += to, --left;
      if (pos >= s.size()) break;
      size_t start = pos;
      text::next(s, pos);
      out.append(s.substr(start, pos - start), self.foreign(), start);
      if (out.size() > limits::kTemplateOutputBytes) break;
    }
  } else {
    size_t pos = 0;
    while (left != 0) {
      size_t at = s.find(from, pos);
      if (at == std::string_view::npos) break;
      out.append(s.substr(pos, at - pos), self.foreign(), pos);
      out += to;
      pos = at + from.size();
      --left;
      if (out.size() > limits::kTemplateOutputBytes) break;
    }
    out.append(s.substr(pos), self.foreign(), pos);
  }
  VERGE_TRY(rt.reserve(out.size()));
  return same_kind(rt, self, std::move(out));
}

Result<Value> str_join(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("join", {"iterable"}, 1));
  VERGE_ASSIGN(items, rt.iterate(a[0]));
  ForeignText out;
  size_t i = 0;
  for (const Value& item : items) {
    if (!item.is(Kind::String)) return type_error(fmt::format("sequence item {}: expected str instance, {} found", i, type_name(item)));
    VERGE_TRY(rt.spend());
    if (i++ > 0) out.append(self.text(), self.foreign(), 0);
    out += put_in(item, self.markup());
    if (out.size() > limits::kTemplateOutputBytes) break;
  }
  VERGE_TRY(rt.reserve(out.size()));
  return same_kind(rt, self, std::move(out));
}

template <char side>
Result<Value> str_justify(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("ljust", {"width", "fillchar"}, 1));
  VERGE_ASSIGN(width, integer_argument(a[0], "width"));
  ForeignText fill(" ");
  if (!a[1].missing()) {
    VERGE_ASSIGN(given, text_argument(a[1], "fillchar"));
    if (text::length(given) != 1) return type_error("The fill character must be exactly one character long");
    fill = put_in(a[1], false);
  }
  int64_t n = static_cast<int64_t>(text::length(self.text()));
  if (width <= n) return self;
  if (width > static_cast<int64_t>(limits::kTemplateOutputBytes)) VERGE_TRY(rt.reserve(static_cast<size_t>(width)));
  size_t missing = static_cast<size_t>(width - n);
  VERGE_TRY(rt.reserve(self.text().size() + missing * fill.size()));
  // CPython's centring: the odd one goes left when both the gap and the width are odd.
  size_t left = side == '<' ? 0 : side == '>' ? missing : missing / 2 + (missing & static_cast<size_t>(width) & 1);
  ForeignText out;
  for (size_t i = 0; i < left; ++i) out += fill;
  out.append(self.text(), self.foreign(), 0);
  for (size_t i = left; i < missing; ++i) out += fill;
  return same_kind(rt, self, std::move(out));
}

Result<Value> str_zfill(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("zfill", {"width"}, 1));
  VERGE_ASSIGN(width, integer_argument(a[0], "width"));
  int64_t n = static_cast<int64_t>(text::length(self.text()));
  if (width <= n) return self;
  if (width > static_cast<int64_t>(limits::kTemplateOutputBytes)) VERGE_TRY(rt.reserve(static_cast<size_t>(width)));
  std::string_view s = self.text();
  size_t sign = !s.empty() && (s[0] == '+' || s[0] == '-') ? 1 : 0;
  ForeignText out;
  out.append(s.substr(0, sign), self.foreign(), 0);
  out += std::string(static_cast<size_t>(width - n), '0');
  out.append(s.substr(sign), self.foreign(), sign);
  VERGE_TRY(rt.reserve(out.size()));
  return same_kind(rt, self, std::move(out));
}

template <bool suffix>
Result<Value> str_remove(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("removeprefix", {"affix"}, 1));
  VERGE_ASSIGN(affix, text_argument(a[0], "removeprefix"));
  std::string_view s = self.text();
  if (suffix && !affix.empty() && s.ends_with(affix)) s.remove_suffix(affix.size());
  if (!suffix && s.starts_with(affix)) s.remove_prefix(affix.size());
  return rt.part(self, s);
}

Result<Value> str_expandtabs(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("expandtabs", {"tabsize"}, 0));
  int64_t tab = 8;
  if (!a[0].missing()) {
    VERGE_ASSIGN(given, integer_argument(a[0], "tabsize"));
    tab = given;
  }
  size_t tabs = static_cast<size_t>(std::count(self.text().begin(), self.text().end(), '\t'));
  if (tabs > 0 && tab > 0) {
    if (tab > static_cast<int64_t>(limits::kTemplateOutputBytes / tabs)) VERGE_TRY(rt.reserve(limits::kTemplateOutputBytes + 1));
    VERGE_TRY(rt.reserve(self.text().size() + tabs * static_cast<size_t>(tab)));
  }
  // Columns are counted over the whole text: a part of it alone would not say where its bytes are.
  return same_kind(rt, self,
                   ForeignText(text::expandtabs(self.text(), tab), !self.foreign().empty()));
}

Result<Value> str_format(Runtime& rt, const Value& self, const Args& args) { return brace_format(rt, self, args); }

Result<Value> str_format_map(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("format_map", {"mapping"}, 1));
  if (!a[0].is(Kind::Dict)) return type_error("format_map() argument must be a mapping");
  Args named;
  for (const auto& [key, value] : a[0].as<DictObject>().entries) {
    if (key.is(Kind::String)) named.named.emplace_back(std::string(key.text()), value);
  }
  return brace_format(rt, self, named);
}

template <bool (*test)(char32_t), bool empty>
Result<Value> str_all(Runtime& rt, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("str", {}, 0));
  VERGE_TRY(rt.spend(1 + self.text().size() / 64));
  if (self.text().empty()) return Value::boolean(empty);
  for (size_t pos = 0; pos < self.text().size();) {
    if (!test(text::next(self.text(), pos))) return Value::boolean(false);
  }
  return Value::boolean(true);
}

template <bool (*test)(std::string_view)>
Result<Value> str_test(Runtime&, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("str", {}, 0));
  return Value::boolean(test(self.text()));
}

bool is_alnum(char32_t c) { return text::is_alpha(c) || text::is_decimal(c) || text::is_digit(c) || text::is_numeric(c); }
bool is_ascii_char(char32_t c) { return c < 0x80; }
bool is_identifier(std::string_view s) {
  if (s.empty()) return false;
  for (size_t pos = 0, i = 0; pos < s.size(); ++i) {
    char32_t c = text::next(s, pos);
    if (c != '_' && !text::is_alpha(c) && !(i > 0 && text::is_decimal(c))) return false;
  }
  return true;
}

// ---- dict ----

Result<Value> dict_get(Runtime& rt, const Value& self, const Args& args) {
  if (args.named.empty() && args.positional.size() >= 1 && args.positional.size() <= 2) {
    const Value& key = args.positional[0];
    if (!hashable(key)) return type_error(fmt::format("unhashable type: '{}'", type_name(key)));
    if (const Value* found = self.as<DictObject>().find(key)) return *found;
    return args.positional.size() == 2 ? args.positional[1] : Value::none();
  }
  (void)rt;
  return type_error(args.named.empty() ? "get expected 1 or 2 arguments" : "dict.get() takes no keyword arguments");
}

Result<Value> dict_items(Runtime& rt, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("items", {}, 0));
  std::vector<Value> items;
  for (const auto& [key, value] : self.as<DictObject>().entries) items.push_back(rt.tuple({key, value}));
  return rt.view("dict_items", std::move(items));
}

Result<Value> dict_keys(Runtime& rt, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("keys", {}, 0));
  std::vector<Value> items;
  for (const auto& entry : self.as<DictObject>().entries) items.push_back(entry.first);
  return rt.view("dict_keys", std::move(items));
}

Result<Value> dict_values(Runtime& rt, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("values", {}, 0));
  std::vector<Value> items;
  for (const auto& entry : self.as<DictObject>().entries) items.push_back(entry.second);
  return rt.view("dict_values", std::move(items));
}

Result<Value> copy(Runtime&, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("copy", {}, 0));
  return self;  // nothing can change either copy
}

// ---- list, tuple, range ----

Result<Value> sequence_index(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("index", {"value", "start", "stop"}, 1));
  VERGE_ASSIGN(items, rt.iterate(self));
  int64_t n = static_cast<int64_t>(items.count), from = 0, to = n;
  for (auto [given, bound] : {std::pair{&a[1], &from}, std::pair{&a[2], &to}}) {
    if (given->missing()) continue;
    VERGE_ASSIGN(i, integer_argument(*given, "start"));
    *bound = std::clamp<int64_t>(i < 0 ? i + n : i, 0, n);
  }
  for (int64_t i = from; i < to; ++i) {
    VERGE_ASSIGN(same, rt.equal(items.first[i], a[0]));
    if (same) return Value::integer(i);
  }
  ForeignText shown;
  VERGE_TRY(rt.append_repr(shown, a[0], 1));
  return type_error(shown.text + " is not in list");
}

Result<Value> sequence_count(Runtime& rt, const Value& self, const Args& args) {
  VERGE_ASSIGN(a, args.bind("count", {"value"}, 1));
  VERGE_ASSIGN(items, rt.iterate(self));
  Int n = 0;
  for (const Value& item : items) {
    VERGE_ASSIGN(same, rt.equal(item, a[0]));
    if (same) ++n;
  }
  return Value::integer(n);
}

// ---- int, float, cycler ----

Result<Value> int_bit_length(Runtime&, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("bit_length", {}, 0));
  Int n = 0;
  for (Int i = self.integer() < 0 ? -self.integer() : self.integer(); i > 0; i /= 2) ++n;
  return Value::integer(n);
}

Result<Value> float_is_integer(Runtime&, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("is_integer", {}, 0));
  return Value::boolean(std::isfinite(self.real()) && std::floor(self.real()) == self.real());
}

Result<Value> cycler_next(Runtime&, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("next", {}, 0));
  auto& h = self.mutable_as<HelperObject>();
  if (h.joiner) return type_error("'Joiner' object has no attribute 'next'");
  Value v = h.items[h.position];
  h.position = (h.position + 1) % h.items.size();
  return v;
}

Result<Value> cycler_reset(Runtime&, const Value& self, const Args& args) {
  VERGE_TRY(args.bind("reset", {}, 0));
  self.mutable_as<HelperObject>().position = 0;
  return Value::none();
}

struct Named {
  std::string_view name;
  Method method;  // null: the sandbox refuses it
};

constexpr Named kStr[] = {
    {"capitalize", str_case<text::capitalize>},
    {"casefold", str_case<text::casefold>},
    {"center", str_justify<'^'>},
    {"count", str_count},
    {"endswith", str_affix<true>},
    {"expandtabs", str_expandtabs},
    {"find", str_find<false, false>},
    {"format", str_format},
    {"format_map", str_format_map},
    {"index", str_find<false, true>},
    {"isalnum", str_all<is_alnum, false>},
    {"isalpha", str_all<text::is_alpha, false>},
    {"isascii", str_all<is_ascii_char, true>},
    {"isdecimal", str_all<text::is_decimal, false>},
    {"isdigit", str_all<text::is_digit, false>},
    {"isidentifier", str_test<is_identifier>},
    {"islower", str_test<text::is_lower>},
    {"isnumeric", str_all<text::is_numeric, false>},
    {"isprintable", str_all<text::is_printable, true>},
    {"isspace", str_all<text::is_space, false>},
    {"istitle", str_test<text::is_title>},
    {"isupper", str_test<text::is_upper>},
    {"join", str_join},
    {"ljust", str_justify<'<'>},
    {"lower", str_case<text::lower>},
    {"lstrip", str_strip<text::Left>},
    {"partition", str_partition<false>},
    {"removeprefix", str_remove<false>},
    {"removesuffix", str_remove<true>},
    {"replace", str_replace},
    {"rfind", str_find<true, false>},
    {"rindex", str_find<true, true>},
    {"rjust", str_justify<'>'>},
    {"rpartition", str_partition<true>},
    {"rsplit", str_split<true>},
    {"rstrip", str_strip<text::Right>},
    {"split", str_split<false>},
    {"splitlines", str_splitlines},
    {"startswith", str_affix<false>},
    {"strip", str_strip<text::Both>},
    {"swapcase", str_case<text::swapcase>},
    {"title", str_case<text::title>},
    {"upper", str_case<text::upper>},
    {"zfill", str_zfill},
};
constexpr Named kDict[] = {
    {"clear", nullptr}, {"copy", copy},        {"get", dict_get},        {"items", dict_items}, {"keys", dict_keys},
    {"pop", nullptr},   {"popitem", nullptr},  {"setdefault", nullptr}, {"update", nullptr},   {"values", dict_values},
};
constexpr Named kList[] = {
    {"append", nullptr}, {"clear", nullptr},  {"copy", copy},   {"count", sequence_count}, {"extend", nullptr},  {"index", sequence_index},
    {"insert", nullptr}, {"pop", nullptr},    {"remove", nullptr}, {"reverse", nullptr},      {"sort", nullptr},
};
constexpr Named kTuple[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr Named kInt[] = {{"bit_length", int_bit_length}};
constexpr Named kFloat[] = {{"is_integer", float_is_integer}};
constexpr Named kHelper[] = {{"next", cycler_next}, {"reset", cycler_reset}};

template <size_t n>
constexpr bool sorted(const Named (&table)[n]) {
  for (size_t i = 1; i < n; ++i) {
    if (!(table[i - 1].name < table[i].name)) return false;
  }
  return true;
}
static_assert(sorted(kStr) && sorted(kDict) && sorted(kList));

struct Table {
  const Named* begin = nullptr;
  const Named* end = nullptr;
};

Table table_of(Kind kind) {
  switch (kind) {
    case Kind::String: return {std::begin(kStr), std::end(kStr)};
    case Kind::Dict: return {std::begin(kDict), std::end(kDict)};
    case Kind::List: return {std::begin(kList), std::end(kList)};
    case Kind::Tuple:
    case Kind::Range: return {std::begin(kTuple), std::end(kTuple)};
    case Kind::Bool:
    case Kind::Int: return {std::begin(kInt), std::end(kInt)};
    case Kind::Float: return {std::begin(kFloat), std::end(kFloat)};
    case Kind::Helper: return {std::begin(kHelper), std::end(kHelper)};
    default: return {};
  }
}

}  // namespace

Method find_method(Kind kind, std::string_view name, bool& unsafe) {
  Table table = table_of(kind);
  const Named* it = std::lower_bound(table.begin, table.end, name, [](const Named& n, std::string_view key) { return n.name < key; });
  if (it != table.end && it->name == name) {
    unsafe = it->method == nullptr;
    return it->method;
  }
  unsafe = name.size() > 4 && name.starts_with("__") && name.ends_with("__");
  return nullptr;
}

}  // namespace verge::engine::jinja
