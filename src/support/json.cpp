#include "support/json.h"

#include <boost/json/basic_parser_impl.hpp>

#include <charconv>
#include <cmath>

#include "support/utf8.h"

namespace verge {

namespace {

// Builds values as Boost.JSON's own parser does, except for doubles, which 1.81 reads up to two units in
// the last place wrong when they have more than 15 digits: a number must not change from hop to hop.
struct ExactHandler {
  static constexpr size_t max_object_size = SIZE_MAX, max_array_size = SIZE_MAX, max_key_size = SIZE_MAX, max_string_size = SIZE_MAX;
  using error_code = boost::system::error_code;
  using view = json::string_view;
  json::value_stack stack;

  bool on_document_begin(error_code&) { return stack.reset(), true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return true; }
  bool on_object_end(size_t n, error_code&) { return stack.push_object(n), true; }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(size_t n, error_code&) { return stack.push_array(n), true; }
  bool on_key_part(view s, size_t, error_code&) { return stack.push_chars(s), true; }
  bool on_key(view s, size_t, error_code&) { return stack.push_key(s), true; }
  bool on_string_part(view s, size_t, error_code&) { return stack.push_chars(s), true; }
  bool on_string(view s, size_t, error_code&) { return stack.push_string(s), true; }
  bool on_number_part(view, error_code&) { return true; }
  bool on_int64(int64_t i, view, error_code&) { return stack.push_int64(i), true; }
  bool on_uint64(uint64_t u, view, error_code&) { return stack.push_uint64(u), true; }
  bool on_double(double d, view s, error_code&) {
    double exact = 0;  // `s` is the whole number, for the document is parsed in one piece
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), exact);
    const bool whole = ec == std::errc() && end == s.data() + s.size();
    return stack.push_double(whole ? exact : d), true;
  }
  bool on_bool(bool b, error_code&) { return stack.push_bool(b), true; }
  bool on_null(error_code&) { return stack.push_null(), true; }
  bool on_comment_part(view, error_code&) { return true; }
  bool on_comment(view, error_code&) { return true; }
};

// The code unit of the escape \uXXXX at `at`; -1 where there is none.
int escaped_unit(std::string_view text, size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
  int unit = 0;
  const char* end = text.data() + at + 6;
  const auto [read, error] = std::from_chars(text.data() + at + 2, end, unit, 16);
  return error == std::errc() && read == end && unit >= 0 ? unit : -1;
}

// Halves of surrogate pairs that stand alone become \ufffd, as in JavaScript's toWellFormed(); every other byte stays
// where it is. False: there are none.
bool mend_surrogates(std::string& text) {
  const auto high = [](int unit) { return unit >= 0xD800 && unit <= 0xDBFF; };
  const auto low = [](int unit) { return unit >= 0xDC00 && unit <= 0xDFFF; };
  bool mended = false;
  for (size_t at = text.find('\\'); at != text.npos; at = text.find('\\', at)) {
    const int unit = escaped_unit(text, at);
    if (high(unit) && low(escaped_unit(text, at + 6))) {
      at += 12;
    } else if (high(unit) || low(unit)) {
      text.replace(at + 2, 4, "fffd");
      mended = true;
      at += 6;
    } else {
      at += 2;
    }
  }
  return mended;
}

Error why_not(std::string_view text, size_t used, boost::system::error_code ec, size_t max_depth) {
  if (ec == json::error::too_deep) return fail(Code::InvalidInput, "invalid JSON: nested deeper than {} levels", max_depth);
  if (text.starts_with("\xEF\xBB\xBF")) return fail(Code::InvalidInput, "invalid JSON: it begins with a byte order mark");
  if (const size_t bad = first_invalid_utf8(text); bad <= used) return fail(Code::InvalidInput, "invalid JSON: it is not UTF-8 at byte {}", bad);
  return fail(Code::InvalidInput, "invalid JSON: {} at byte {}", ec.message(), used);
}

}  // namespace

Result<json::value> parse_json(std::string_view text, size_t max_depth) {
  json::parse_options options;
  options.max_depth = max_depth;
  json::basic_parser<ExactHandler> parser(options);
  boost::system::error_code ec;
  size_t used = parser.write_some(false, text.data(), text.size(), ec);
  std::string mended;
  if (ec && ec != json::error::too_deep && text.find("\\u") != text.npos) {
    mended = text;
    if (mend_surrogates(mended)) {
      text = mended;
      parser.reset();
      ec = {};
      used = parser.write_some(false, text.data(), text.size(), ec);
    }
  }
  if (ec) return why_not(text, used, ec, max_depth);
  while (used < text.size() && (text[used] == ' ' || text[used] == '\n' || text[used] == '\r' || text[used] == '\t')) ++used;
  if (used < text.size()) return fail(Code::InvalidInput, "invalid JSON: extra data at byte {}", used);
  return parser.handler().stack.release();
}

std::optional<std::string> get_string(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v || !v->is_string()) return std::nullopt;
  return std::string(v->get_string());
}

std::optional<int64_t> get_int(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v) return std::nullopt;
  if (v->is_int64()) return v->get_int64();
  if (v->is_uint64()) return v->get_uint64() <= INT64_MAX ? std::optional<int64_t>(static_cast<int64_t>(v->get_uint64())) : std::nullopt;
  if (v->is_double()) {
    double d = v->get_double();
    if (std::floor(d) == d && std::fabs(d) < 9e15) return static_cast<int64_t>(d);
  }
  return std::nullopt;
}

std::optional<double> get_number(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v || !v->is_number()) return std::nullopt;
  return v->to_number<double>();
}

std::optional<bool> get_bool(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  if (!v || !v->is_bool()) return std::nullopt;
  return v->get_bool();
}

const json::object* get_object(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  return v ? v->if_object() : nullptr;
}

const json::array* get_array(const json::object& object, std::string_view key) {
  const json::value* v = object.if_contains(key);
  return v ? v->if_array() : nullptr;
}

}  // namespace verge
