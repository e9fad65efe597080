#include "api/languages.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "support/text.h"

namespace verge::api {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

// openai/whisper, tokenizer.py: LANGUAGES.
constexpr Pair kNames[] = {
    {"en", "english"}, {"zh", "chinese"}, {"de", "german"}, {"es", "spanish"}, {"ru", "russian"}, {"ko", "korean"}, {"fr", "french"},
    {"ja", "japanese"}, {"pt", "portuguese"}, {"tr", "turkish"}, {"pl", "polish"}, {"ca", "catalan"}, {"nl", "dutch"}, {"ar", "arabic"},
    {"sv", "swedish"}, {"it", "italian"}, {"id", "indonesian"}, {"hi", "hindi"}, {"fi", "finnish"}, {"vi", "vietnamese"}, {"he", "hebrew"},
    {"uk", "ukrainian"}, {"el", "greek"}, {"ms", "malay"}, {"cs", "czech"}, {"ro", "romanian"}, {"da", "danish"}, {"hu", "hungarian"},
    {"ta", "tamil"}, {"no", "norwegian"}, {"th", "thai"}, {"ur", "urdu"}, {"hr", "croatian"}, {"bg", "bulgarian"}, {"lt", "lithuanian"},
    {"la", "latin"}, {"mi", "maori"}, {"ml", "malayalam"}, {"cy", "welsh"}, {"sk", "slovak"}, {"te", "telugu"}, {"fa", "persian"},
    {"lv", "latvian"}, {"bn", "bengali"}, {"sr", "serbian"}, {"az", "azerbaijani"}, {"sl", "slovenian"}, {"kn", "kannada"}, {"et", "estonian"},
    {"mk", "macedonian"}, {"br", "breton"}, {"eu", "basque"}, {"is", "icelandic"}, {"hy", "armenian"}, {"ne", "nepali"}, {"mn", "mongolian"},
    {"bs", "bosnian"}, {"kk", "kazakh"}, {"sq", "albanian"}, {"sw", "swahili"}, {"gl", "galician"}, {"mr", "marathi"}, {"pa", "punjabi"},
    {"si", "sinhala"}, {"km", "khmer"}, {"sn", "shona"}, {"yo", "yoruba"}, {"so", "somali"}, {"af", "afrikaans"}, {"oc", "occitan"},
    {"ka", "georgian"}, {"be", "belarusian"}, {"tg", "tajik"}, {"sd", "sindhi"}, {"gu", "gujarati"}, {"am", "amharic"}, {"yi", "yiddish"},
    {"lo", "lao"}, {"uz", "uzbek"}, {"fo", "faroese"}, {"ht", "haitian creole"}, {"ps", "pashto"}, {"tk", "turkmen"}, {"nn", "nynorsk"},
    {"mt", "maltese"}, {"sa", "sanskrit"}, {"lb", "luxembourgish"}, {"my", "myanmar"}, {"bo", "tibetan"}, {"tl", "tagalog"}, {"mg", "malagasy"},
    {"as", "assamese"}, {"tt", "tatar"}, {"haw", "hawaiian"}, {"ln", "lingala"}, {"ha", "hausa"}, {"ba", "bashkir"}, {"jw", "javanese"},
    {"su", "sundanese"}, {"yue", "cantonese"}};

// Other names of Whisper's languages: those of its tokenizer.py (TO_LANGUAGE_CODE), BCP 47's, and ISO 639's codes of three
// letters and old ones.
constexpr Pair kOthers[] = {
    {"burmese", "my"}, {"valencian", "ca"}, {"flemish", "nl"}, {"haitian", "ht"}, {"letzeburgesch", "lb"}, {"pushto", "ps"},
    {"panjabi", "pa"}, {"moldavian", "ro"}, {"moldovan", "ro"}, {"sinhalese", "si"}, {"castilian", "es"}, {"mandarin", "zh"},
    {"farsi", "fa"}, {"filipino", "tl"}, {"bokmal", "no"}, {"bokmål", "no"}, {"iw", "he"}, {"in", "id"}, {"ji", "yi"}, {"jv", "jw"},
    {"nb", "no"}, {"fil", "tl"}, {"cmn", "zh"}, {"mo", "ro"}, {"eng", "en"}, {"zho", "zh"}, {"chi", "zh"}, {"deu", "de"}, {"ger", "de"},
    {"spa", "es"}, {"rus", "ru"}, {"kor", "ko"}, {"fra", "fr"}, {"fre", "fr"}, {"jpn", "ja"}, {"por", "pt"}, {"tur", "tr"}, {"pol", "pl"},
    {"cat", "ca"}, {"nld", "nl"}, {"dut", "nl"}, {"ara", "ar"}, {"swe", "sv"}, {"ita", "it"}, {"ind", "id"}, {"hin", "hi"}, {"fin", "fi"},
    {"vie", "vi"}, {"heb", "he"}, {"ukr", "uk"}, {"ell", "el"}, {"gre", "el"}, {"msa", "ms"}, {"may", "ms"}, {"ces", "cs"}, {"cze", "cs"},
    {"ron", "ro"}, {"rum", "ro"}, {"dan", "da"}, {"hun", "hu"}, {"tam", "ta"}, {"nor", "no"}, {"nob", "no"}, {"nno", "nn"}, {"tha", "th"},
    {"urd", "ur"}, {"hrv", "hr"}, {"bul", "bg"}, {"lit", "lt"}, {"lat", "la"}, {"cym", "cy"}, {"wel", "cy"}, {"slk", "sk"}, {"slo", "sk"},
    {"fas", "fa"}, {"per", "fa"}, {"lav", "lv"}, {"ben", "bn"}, {"srp", "sr"}, {"slv", "sl"}, {"est", "et"}, {"eus", "eu"}, {"baq", "eu"},
    {"isl", "is"}, {"ice", "is"}, {"swa", "sw"}, {"glg", "gl"}, {"afr", "af"}, {"jav", "jw"}};

std::optional<std::string> known(std::string_view word) {
  for (const auto& [code, name] : kNames)
    if (word == code || word == name) return std::string(code);
  for (const auto& [other, code] : kOthers)
    if (word == other) return std::string(code);
  return std::nullopt;
}

std::string plain(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return ascii_lower(text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first));
}

// Subtags of BCP 47 and of POSIX's locales, each behind a separator: letters and digits, one to eight a piece.
bool is_subtags(std::string_view rest) {
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find_first_of("-_.@"), rest.size());
    const bool plain = std::ranges::all_of(rest.substr(0, end), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
    if (end < 1 || end > 8 || !plain) return false;
    rest.remove_prefix(end);
  }
  return true;
}

}  // namespace

std::string language_name(std::string_view code) {
  const auto* found = std::ranges::find_if(kNames, [code](const Pair& name) { return name.first == code; });
  return std::string(found == std::end(kNames) ? code : found->second);
}

std::optional<std::string> language_code(std::string_view text) {
  const std::string word = plain(text);
  if (auto whole = known(word)) return whole;
  // Cantonese as a variety of Chinese.
  for (std::string_view cantonese : {"zh-yue", "zh_yue"})
    if (word.starts_with(cantonese)) return "yue";
  const size_t end = word.find_first_of("-_.@");
  if (end == std::string::npos || end > 3 || !is_subtags(std::string_view(word).substr(end))) return std::nullopt;
  return known(std::string_view(word).substr(0, end));
}

bool means_detection(std::string_view text) {
  const std::string word = plain(text);
  return word.empty() || word == "auto" || word == "detect" || word == "auto-detect";
}

}  // namespace verge::api
