#include "api/byte_arrays.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

namespace verge::api {
namespace {

constexpr bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_media(std::string_view key) { return key == "image" || key == "audio"; }
constexpr bool is_wrapper(std::string_view key) { return key == "inputs" || key == "input"; }

class Lifter {
 public:
  explicit Lifter(std::string_view body) : p_(body.data()), end_(body.data() + body.size()), kept_(body.data()) {}

  Result<LiftedBody> run() {
    object(true);
    if (error_) return std::move(*error_);
    out_.json.append(kept_, end_);
    return std::move(out_);
  }

 private:
  void skip_space() {
    while (p_ < end_ && is_space(*p_)) ++p_;
  }
  bool take(char c) {
    skip_space();
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  bool refuse(std::string_view key) {
    error_ = fail(Code::InvalidInput, "the elements of '/{}' must be integers from 0 to 255", key);
    return false;
  }

  // The text between the quotes, escapes and all.
  std::optional<std::string_view> string() {
    if (!take('"')) return std::nullopt;
    const char* begin = p_;
    while (p_ < end_) {
      const auto* quote = static_cast<const char*>(std::memchr(p_, '"', static_cast<size_t>(end_ - p_)));
      if (!quote) break;
      size_t slashes = 0;
      while (quote - slashes > begin && *(quote - slashes - 1) == '\\') ++slashes;
      p_ = quote + 1;
      if (slashes % 2 == 0) return std::string_view(begin, static_cast<size_t>(quote - begin));
    }
    p_ = end_;
    return std::nullopt;
  }

  // Past one value, which need not be valid. False where the text ends first.
  bool skip_value() {
    skip_space();
    int depth = 0;
    while (p_ < end_) {
      switch (*p_) {
        case '"':
          if (!string()) return false;
          break;
        case '[':
        case '{': ++depth, ++p_; break;
        case ']':
        case '}':
          if (depth == 0) return true;
          --depth, ++p_;
          break;
        case ',':
          if (depth == 0) return true;
          [[fallthrough]];
        default: ++p_; continue;
      }
      if (depth == 0) return true;
    }
    return false;
  }

  // False: the rest is not looked at.
  bool object(bool outermost) {
    if (!take('{')) return false;
    if (take('}')) return true;
    for (;;) {
      const auto key = string();
      if (!key || !take(':')) return false;
      skip_space();
      if (p_ == end_) return false;
      const bool nested = outermost && is_wrapper(*key) && *p_ == '{';
      if (!(is_media(*key) ? media(*key) : nested ? object(false) : skip_value())) return false;
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  bool media(std::string_view key) {
    const char* begin = p_;
    const bool array = *p_ == '[';
    if (array ? !starts_numbers(p_ + 1) : !starts_indices(p_)) return skip_value();
    ByteArray lifted{std::string(key), {}};
    if (!(array ? numbers(key, lifted.bytes) : indexed(key, lifted.bytes))) return false;
    out_.json.append(kept_, begin).append("[]");
    kept_ = p_;
    out_.arrays.push_back(std::move(lifted));
    return true;
  }

  // An array of strings or of arrays is another input of that name.
  bool starts_numbers(const char* p) const {
    while (p < end_ && is_space(*p)) ++p;
    return p < end_ && (is_digit(*p) || *p == '-' || *p == ']');
  }
  bool starts_indices(const char* p) const {
    if (*p != '{') return false;
    for (++p; p < end_ && is_space(*p);) ++p;
    return end_ - p > 3 && std::memcmp(p, "\"0\"", 3) == 0;
  }

  // One number of up to three digits, strictly JSON's.
  bool byte(std::string& to) {
    unsigned value = 0;
    const char* begin = p_;
    while (p_ < end_ && p_ - begin < 4 && is_digit(*p_)) value = value * 10 + static_cast<unsigned>(*p_++ - '0');
    const auto digits = p_ - begin;
    const bool padded = digits > 1 && *begin == '0';
    const bool more = p_ < end_ && (is_digit(*p_) || *p_ == '.' || *p_ == 'e' || *p_ == 'E');
    if (digits == 0 || padded || more || value > 255) return false;
    to.push_back(static_cast<char>(value));
    return true;
  }

  bool numbers(std::string_view key, std::string& to) {
    ++p_;
    if (take(']')) return true;
    to.reserve(static_cast<size_t>(end_ - p_) / 3);
    for (;;) {
      run_of_numbers(to);
      skip_space();
      if (!byte(to)) return refuse(key);
      if (take(']')) return true;
      if (!take(',')) return refuse(key);
      skip_space();
    }
  }

  // As many "digits," in a row as there are, without a branch on their length: eight cycles each. What it can't take,
  // the last number included, it leaves.
  void run_of_numbers(std::string& to) {
    char chunk[4096];
    while (end_ - p_ >= 8) {
      size_t n = 0;
      bool stop = false;
      while (n < sizeof chunk && end_ - p_ >= 8) {
        uint32_t text;
        std::memcpy(&text, p_, 4);
        const uint32_t digits = text ^ 0x30303030;
        const uint32_t others = (((digits & 0x7f7f7f7f) + 0x76767676) | digits) & 0x80808080;
        const int length = std::countr_zero(others) >> 3;  // 4 where all are digits
        // Right-aligned: hundreds, tens, ones in bytes 1 to 3; the product gathers their sum from bit 24 on.
        const uint64_t aligned = length == 0 ? 0 : static_cast<uint32_t>(uint64_t{digits} << (8 * (4 - length)));
        const uint64_t value = ((aligned * (1 + (uint64_t{10} << 8) + (uint64_t{100} << 16))) >> 24) & 0x3ff;
        const bool padded = length > 1 && (digits & 0xff) == 0;
        // A comma, and a space after it as Python's json writes.
        const bool good = (static_cast<unsigned>(length - 1) < 3) & (p_[length] == ',') & (value < 256) & !padded;
        if (!good) {
          stop = true;
          break;
        }
        chunk[n++] = static_cast<char>(value);
        p_ += length + 1;
        p_ += *p_ == ' ';
      }
      to.append(chunk, n);
      if (stop) return;
    }
  }

  bool indexed(std::string_view key, std::string& to) {
    ++p_;
    for (uint64_t index = 0;; ++index) {
      const auto name = string();
      if (!name || *name != std::to_string(index)) return refuse(key);
      if (!take(':')) return refuse(key);
      skip_space();
      if (!byte(to)) return refuse(key);
      if (take('}')) return true;
      if (!take(',')) return refuse(key);
    }
  }

  const char* p_;
  const char* end_;
  const char* kept_;  // text from here on is not yet in out_.json
  LiftedBody out_;
  std::optional<Error> error_;
};

}  // namespace

Result<LiftedBody> lift_byte_arrays(std::string_view body) { return Lifter(body).run(); }

}  // namespace verge::api
