// English words of numbers: those of num2words, which the lexicons of misaki were made with. Numbers
// are digits, of any length.
#pragma once

#include <string>
#include <string_view>

namespace verge::engine::phonemes {

std::string cardinal(std::string_view digits);  // "1,234" written 1234: "one thousand, two hundred …"
std::string cardinal(int value);
std::string ordinal(std::string_view digits);   // "twenty-third"
std::string year(int value);                    // 0 to 9999: "nineteen oh-five"
std::string decimal(std::string_view number);   // "3.14": "three point one four"

}  // namespace verge::engine::phonemes
