#include "api/byte_arrays.h"

#include <emmintrin.h>

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
    error_ = fail_at(Code::InvalidInput, fmt::format("/{}", key), "the elements of '/{}' must be integers from 0 to 255", key);
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
    ByteArray lifted{std::string(key), {}};
    if (*p_ == '[' && starts_numbers(p_ + 1)) {
      if (!numbers(key, lifted.bytes)) return false;
    } else if (starts_indices(p_)) {
      if (!indexed(key, lifted.bytes)) return false;
    } else if (!buffer(key, lifted.bytes)) {
      if (error_) return false;
      p_ = begin;
      return skip_value();
    }
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

  // Node's Buffer, its two members in any order. False with p_ anywhere where it is something else, or with an error.
  bool buffer(std::string_view key, std::string& to) {
    bool typed = false, filled = false;
    if (!take('{')) return false;
    for (int members = 0; members < 2; ++members) {
      const auto name = string();
      if (!name || !take(':')) return false;
      skip_space();
      if (*name == "type" && !typed) {
        typed = string() == "Buffer";
        if (!typed) return false;
      } else if (*name == "data" && !filled && p_ < end_ && *p_ == '[' && starts_numbers(p_ + 1)) {
        filled = numbers(key, to);
        if (!filled) return false;
      } else {
        return false;
      }
      if (members == 0 && !take(',')) return false;
    }
    return take('}');
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

  // As many "digits," in a row as there are; what it can't take, the last number included, it leaves. The array's key
  // stands before p_, so that the characters before a block can be looked at.
  void run_of_numbers(std::string& to) {
    const char* block = p_;
    for (; end_ - block > 64; block += 64) {
      alignas(16) uint8_t values[64];
      uint64_t last_digits = 0;
      bool good = true;
      for (int i = 0; i < 4; ++i) {
        const Sixteen part(block + 16 * i);
        good &= part.good();
        last_digits |= uint64_t{part.last_digits()} << (16 * i);
        _mm_store_si128(reinterpret_cast<__m128i*>(values + 16 * i), part.values);
      }
      if (!good) break;
      // Eight at a time without a branch on how many there are; those past the end are cut off.
      const size_t count = static_cast<size_t>(std::popcount(last_digits)), before = to.size();
      char picked[64 + 8];
      for (size_t done = 0; done < count; done += 8) {
        for (size_t i = 0; i < 8; ++i, last_digits &= last_digits - 1) picked[done + i] = static_cast<char>(values[std::countr_zero(last_digits) & 63]);
      }
      to.resize(before + 64);
      std::memcpy(to.data() + before, picked, 64);
      to.resize(before + count);
    }
    // A number whose comma opens the block has been taken, one that goes on in it has not.
    if (block != p_ && *block == ',' && is_digit(block[-1])) ++block;
    else while (block > p_ && is_digit(block[-1])) --block;
    p_ = block;
  }

  // Each of 16 characters as if it were the last digit of a number: its value with the digits before it.
  struct Sixteen {
    __m128i values, last, wrong;

    explicit Sixteen(const char* p) {
      const auto load = [p](int at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + at)); };
      const auto same = [](__m128i x, char c) { return _mm_cmpeq_epi8(x, _mm_set1_epi8(c)); };
      const auto digits = [](__m128i text) { return _mm_sub_epi8(text, _mm_set1_epi8('0')); };
      const auto is_digits = [](__m128i digit) { return _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit); };
      const __m128i text = load(0), before = load(-1);
      const __m128i ones = digits(text), tens = digits(before), hundreds = digits(load(-2));
      const __m128i one = is_digits(ones), ten = _mm_and_si128(one, is_digits(tens)), hundred = _mm_and_si128(ten, is_digits(hundreds));
      const __m128i thousand = _mm_and_si128(hundred, is_digits(digits(load(-3))));
      const __m128i twice = _mm_add_epi8(tens, tens), four = _mm_add_epi8(twice, twice);
      const __m128i ten_value = _mm_and_si128(ten, _mm_add_epi8(_mm_add_epi8(four, four), twice));
      const __m128i is_1 = same(hundreds, 1), is_2 = same(hundreds, 2);
      const __m128i hundred_value =
          _mm_and_si128(hundred, _mm_or_si128(_mm_and_si128(is_1, _mm_set1_epi8(100)), _mm_and_si128(is_2, _mm_set1_epi8(static_cast<char>(200)))));
      const __m128i low = _mm_add_epi8(_mm_and_si128(one, ones), ten_value);
      values = _mm_adds_epu8(low, hundred_value);
      const __m128i comma = same(text, ','), space = _mm_and_si128(same(text, ' '), same(before, ','));
      last = _mm_and_si128(one, same(load(1), ','));
      const __m128i known = _mm_or_si128(_mm_or_si128(one, comma), space);
      const __m128i too_large = _mm_or_si128(_mm_andnot_si128(_mm_or_si128(_mm_or_si128(is_1, is_2), same(hundreds, 0)), hundred),
                                             _mm_xor_si128(_mm_cmpeq_epi8(values, _mm_add_epi8(low, hundred_value)), _mm_set1_epi8(-1)));
      const __m128i padded = _mm_or_si128(_mm_andnot_si128(hundred, _mm_and_si128(ten, same(tens, 0))), _mm_and_si128(hundred, same(hundreds, 0)));
      const __m128i no_number = _mm_andnot_si128(is_digits(tens), comma);
      wrong = _mm_or_si128(_mm_or_si128(_mm_xor_si128(known, _mm_set1_epi8(-1)), _mm_or_si128(too_large, padded)), _mm_or_si128(no_number, thousand));
    }
    bool good() const { return _mm_movemask_epi8(wrong) == 0; }
    uint32_t last_digits() const { return static_cast<uint32_t>(_mm_movemask_epi8(last)); }
  };

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
