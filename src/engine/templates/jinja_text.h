// Python's str on UTF-8: what template expressions do to text, one function a method. Positions and
// lengths are in code points, as Python's are; bytes that are not UTF-8 count as one character each
// and are copied unchanged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace verge::engine::jinja::text {

// Code point at `pos`, which moves past it. A byte that starts no valid sequence gives 0xDC00 + byte
// (Python's surrogateescape), which no valid text holds.
char32_t next(std::string_view s, size_t& pos);
void append(std::string& out, char32_t c);
bool is_ascii(std::string_view s);
size_t length(std::string_view s);
// Byte offset of code point `index`; s.size() where there are fewer.
size_t offset(std::string_view s, size_t index);
std::vector<std::string_view> characters(std::string_view s);

bool is_space(char32_t c);
bool is_printable(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);

std::string upper(std::string_view s);
std::string lower(std::string_view s);
std::string title(std::string_view s);
std::string capitalize(std::string_view s);
std::string swapcase(std::string_view s);
std::string casefold(std::string_view s);
bool is_upper(std::string_view s);
bool is_lower(std::string_view s);
bool is_title(std::string_view s);

enum Side { Left = 1, Right = 2, Both = 3 };
// nullopt strips white space, else every character that `chars` holds.
std::string_view strip(std::string_view s, std::optional<std::string_view> chars, Side side);

// max < 0 = no limit. `separator` nullopt splits at runs of white space; it is never empty.
std::vector<std::string_view> split(std::string_view s, std::optional<std::string_view> separator, int64_t max);
std::vector<std::string_view> rsplit(std::string_view s, std::optional<std::string_view> separator, int64_t max);
std::vector<std::string_view> splitlines(std::string_view s, bool keep_ends);
std::string expandtabs(std::string_view s, int64_t tab);

// repr(): single quotes unless only they occur, escapes for what does not print.
std::string repr(std::string_view s);
// Shortest text that reads back as the same double, as repr(float) writes it: 1.0, 1e+16, inf.
std::string repr(double d);
std::string html_escape(std::string_view s);
// JSON string with quotes, as json.dumps writes it.
void append_json(std::string& out, std::string_view s, bool ensure_ascii);

}  // namespace verge::engine::jinja::text
