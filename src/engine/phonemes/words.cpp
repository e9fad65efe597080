#include "engine/phonemes/words.h"

#include <algorithm>
#include <optional>

#include "engine/phonemes/letters.h"

namespace verge::engine::phonemes {
namespace {

enum Rule { kChunk, kPrefix, kSuffix, kInfix, kAddress, kRules };

constexpr std::string_view kLetter = R"([^\W\d_])";
constexpr std::string_view kLowers = "a-zß-öø-ÿ", kUppers = "A-ZÀ-ÖØ-Þ";
constexpr std::string_view kQuotes = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉";
constexpr std::string_view kPunctuation = "…,:;!?¿¡()[]{}<>_#*&。？！，、；：～·";
constexpr std::string_view kIcons = "™®©°§¶†‡•";
constexpr std::string_view kCurrency = R"(\$|£|€|¥|฿|US\$|C\$|A\$|₽|₹|₩|₪|₺|₴|₦|₫|₱|₲|₵|₸|₼|₾|₿)";
constexpr std::string_view kUnits =
    "km|km²|km³|m|m²|m³|dm|dm²|dm³|cm|cm²|cm³|mm|mm²|mm³|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|m/s|km/h"
    "|kmh|mph|hPa|Pa|mbar|mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%";

std::string joined(const std::vector<std::string>& alternatives, std::string_view before, std::string_view behind) {
  std::string out;
  for (const std::string& one : alternatives) {
    if (!out.empty()) out += '|';
    ((out += before) += one) += behind;
  }
  return out;
}

void add_characters(std::vector<std::string>& to, std::string_view characters_of) {
  for (const char32_t c : characters(characters_of)) to.push_back(escaped(utf8(std::u32string_view(&c, 1))));
}

std::string shape(std::string_view text) {
  const std::u32string word = characters(text);
  const bool letters = !word.empty() && std::ranges::all_of(word, is_letter);
  if (letters) {
    const std::string low = lower(text), high = upper(text);
    if (text == low) return "x";
    if (text == high) return word.size() > 1 ? "XX" : "X1";
    return text == capitalized(text) ? "Xx" : "xX";
  }
  if (!word.empty() && std::ranges::all_of(word, is_digit)) return "d";
  std::u32string out;
  for (const char32_t c : word.substr(0, 4)) out += is_digit(c) ? U'd' : is_letter(c) ? U'x' : c;
  return utf8(out);
}

std::string last_three(std::string_view text) {
  const std::u32string word = characters(text);
  return utf8(std::u32string_view(word).substr(word.size() > 3 ? word.size() - 3 : 0));
}

}  // namespace

Result<WordSplitter> WordSplitter::make(const json::object& special_cases) {
  WordSplitter out;
  for (const auto& [text, tokens] : special_cases) {
    std::vector<std::string> list;
    if (const json::array* array = tokens.if_array())
      for (const json::value& token : *array)
        if (token.is_string() && !token.get_string().empty()) list.emplace_back(token.get_string());
    if (list.empty()) return fail(Code::LoadFailed, "front_end.json: the table 'special_cases'");
    out.special_.emplace(text, std::move(list));
  }
  const std::string icons = "[" + escaped(kIcons) + "]", quotes = escaped(kQuotes), letter(kLetter);
  const std::string lowers(kLowers), uppers(kUppers), currency(kCurrency);
  std::vector<std::string> prefixes{"§", "%", "=", "—", "–", R"(\+(?![0-9]))", "…", "……"};
  add_characters(prefixes, kPunctuation);
  prefixes.insert(prefixes.end(), {R"(\.\.+)", "…"});
  add_characters(prefixes, kQuotes);
  prefixes.insert(prefixes.end(), {currency, icons});
  std::vector<std::string> suffixes{"…", "……"};
  add_characters(suffixes, kPunctuation);
  suffixes.insert(suffixes.end(), {R"(\.\.+)", "…"});
  add_characters(suffixes, kQuotes);
  suffixes.insert(suffixes.end(),
                  {icons, "'s", "'S", "’s", "’S", "—", "–", R"((?<=[0-9])\+)", R"((?<=°[FfCcKk])\.)",
                   "(?<=[0-9])(?:" + currency + ")", "(?<=[0-9])(?:" + std::string(kUnits) + ")",
                   "(?<=[0-9" + lowers + R"(%²\-\+)" + escaped(kPunctuation) + quotes + R"(])\.)",
                   "(?<=[" + uppers + "][" + uppers + R"(])\.)"});
  const std::vector<std::string> infixes{
      R"(\.\.+)", "…", icons, R"((?<=[0-9])[+\-\*^](?=[0-9-]))",
      "(?<=[" + lowers + quotes + R"(])\.(?=[)" + uppers + quotes + "])",
      "(?<=" + letter + "),(?=" + letter + ")",
      R"((?<=[^\W_])(?:-|–|—|--|---|——|~)(?=)" + letter + ")",
      R"((?<=[^\W_])[:<>=/](?=)" + letter + ")"};
  std::string expressions[kRules];
  expressions[kChunk] = R"(\S+)";
  expressions[kPrefix] = joined(prefixes, "^(?:", ")");
  expressions[kSuffix] = joined(suffixes, "(?:", ")$");
  expressions[kInfix] = joined(infixes, "(?:", ")");
  expressions[kAddress] =
      R"(^(?:(?:https?|ftp)://|www\.)\S+$|^[\w.+-]+@[\w-]+(?:\.[\w-]+)+$)"
      R"(|^(?:[\w-]+\.)+(?:com|org|net|edu|gov|io|co|uk|de|fr|info|biz|us|ca|au|tv|me|ly|ai)(?:/\S*)?$)";
  for (int rule = 0; rule < kRules; ++rule) {
    VERGE_ASSIGN(pattern, Pattern::compile(expressions[rule], rule == kAddress));
    out.patterns_.push_back(std::move(pattern));
  }
  return out;
}

const std::vector<std::string>* WordSplitter::special(std::string_view text) const {
  const auto found = special_.find(std::string(text));
  return found == special_.end() ? nullptr : &found->second;
}

std::vector<Word> WordSplitter::run(std::string_view sentence) const {
  std::vector<Word> out;
  patterns_[kChunk].each(sentence, [&](const Pattern::Match& m) {
    for (std::string& token : split(m[0])) out.push_back({std::move(token), false});
    out.back().space = m.end() < sentence.size();
  });
  return out;
}

std::vector<std::string> WordSplitter::split(std::string_view s) const {
  if (const auto* tokens = special(s)) return *tokens;
  std::vector<std::string> front, back;
  size_t last = std::string::npos;
  while (!s.empty() && s.size() != last && !special(s)) {
    last = s.size();
    size_t prefix = 0, suffix = 0;
    if (const auto m = patterns_[kPrefix].find(s)) prefix = m->end();
    if (prefix > 0 && special(s.substr(prefix))) {
      front.emplace_back(s.substr(0, prefix));
      s.remove_prefix(prefix);
      break;
    }
    if (const auto m = patterns_[kSuffix].find(s.substr(prefix))) suffix = m->end() - m->begin();
    if (suffix > 0 && special(s.substr(0, s.size() - suffix))) {
      back.emplace_back(s.substr(s.size() - suffix));
      s.remove_suffix(suffix);
      break;
    }
    if (prefix + suffix > s.size()) suffix = 0;
    if (prefix > 0) front.emplace_back(s.substr(0, prefix));
    if (suffix > 0) back.emplace_back(s.substr(s.size() - suffix));
    s.remove_prefix(prefix);
    s.remove_suffix(suffix);
  }
  std::vector<std::string> tokens = std::move(front);
  if (!s.empty()) {
    if (const auto* list = special(s)) {
      tokens.insert(tokens.end(), list->begin(), list->end());
    } else if (patterns_[kAddress].matches(s)) {
      tokens.emplace_back(s);
    } else {
      size_t start = 0;
      patterns_[kInfix].each(s, [&](const Pattern::Match& m) {
        if (m.begin() == 0) return;
        if (m.begin() > start) tokens.emplace_back(s.substr(start, m.begin() - start));
        tokens.emplace_back(m[0]);
        start = m.end();
      });
      if (start < s.size()) tokens.emplace_back(s.substr(start));
    }
  }
  tokens.insert(tokens.end(), back.rbegin(), back.rend());
  return tokens.size() > 1 ? rejoined(tokens) : tokens;
}

// Neighbours that spell a special case: "Sept" and "." are one token.
std::vector<std::string> WordSplitter::rejoined(const std::vector<std::string>& tokens) const {
  std::vector<std::string> out;
  for (size_t i = 0; i < tokens.size();) {
    size_t taken = 0;
    for (const size_t count : {3, 2}) {
      if (i + count > tokens.size()) continue;
      std::string text;
      for (size_t k = 0; k < count; ++k) text += tokens[i + k];
      if (const auto* list = special(text)) {
        out.insert(out.end(), list->begin(), list->end());
        taken = count;
        break;
      }
    }
    if (taken == 0) out.push_back(tokens[i]);
    i += std::max<size_t>(taken, 1);
  }
  return out;
}

Result<Tagger> Tagger::make(const json::object& model) {
  Tagger out;
  const json::array* tags = get_array(model, "tags");
  const json::array* vocabulary = get_array(model, "vocab");
  const json::object* sure = get_object(model, "tagdict");
  const json::object* weights = get_object(model, "weights");
  if (!tags || tags->empty() || tags->size() > 1000 || !vocabulary || !sure || !weights) {
    return fail(Code::LoadFailed, "front_end.json: the table 'tagger'");
  }
  std::unordered_map<std::string_view, uint16_t> index;
  for (const json::value& tag : *tags)
    if (tag.is_string()) out.tags_.emplace_back(tag.get_string());
  for (size_t i = 0; i < out.tags_.size(); ++i) index.emplace(out.tags_[i], static_cast<uint16_t>(i));
  for (const json::value& word : *vocabulary)
    if (word.is_string()) out.vocabulary_.emplace(word.get_string());
  for (const auto& [word, tag] : *sure)
    if (tag.is_string()) out.sure_.emplace(word, std::string(tag.get_string()));
  for (const auto& [feature, votes] : *weights) {
    const json::object* of = votes.if_object();
    if (!of) return fail(Code::LoadFailed, "front_end.json: the tagger's weights");
    const auto begin = static_cast<uint32_t>(out.votes_.size());
    for (const auto& [tag, weight] : *of) {
      const auto at = index.find(std::string_view(tag));
      if (at == index.end() || !weight.is_number()) continue;
      out.votes_.emplace_back(at->second, weight.to_number<double>());
    }
    out.weights_.emplace(feature, Weights{begin, static_cast<uint32_t>(out.votes_.size())});
  }
  return out;
}

std::string Tagger::normal(std::string_view text) const {
  const std::u32string word = characters(text);
  std::string out;
  if (word.size() > 0 && word[0] != U'-' && text.find('-') != text.npos) out = "!HYPHEN";
  else if (word.size() == 4 && std::ranges::all_of(word, is_digit)) out = "!YEAR";
  else if (!word.empty() && is_digit(word[0])) out = "!DIGITS";
  else out = lower(text);
  return vocabulary_.contains(out) ? out : "<" + shape(text) + ">";
}

const std::string& Tagger::predict(const std::vector<std::string>& features) const {
  static const std::string kNoun = "NN";
  std::vector<double> scores(tags_.size());
  bool any = false;
  for (const std::string& feature : features) {
    const auto found = weights_.find(feature);
    if (found == weights_.end()) continue;
    for (uint32_t i = found->second.begin; i < found->second.end; ++i) {
      scores[votes_[i].first] += votes_[i].second;
      any = true;
    }
  }
  if (!any) return kNoun;
  size_t best = 0;
  for (size_t i = 1; i < scores.size(); ++i) {
    if (scores[i] > scores[best] || (scores[i] == scores[best] && tags_[i] > tags_[best])) best = i;
  }
  return tags_[best];
}

std::vector<std::string> Tagger::run(const std::vector<Word>& words) const {
  std::vector<std::string> around{"-START2-", "-START-"};
  for (const Word& word : words) around.push_back(normal(word.text));
  around.insert(around.end(), {"-END-", "-END2-"});
  std::string before = "-START-", before2 = "-START2-";
  std::vector<std::string> out;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i].text;
    std::string tag;
    if (const auto found = sure_.find(word); found != sure_.end()) {
      tag = found->second;
    } else {
      const size_t at = i + 2;
      const std::u32string letters = characters(word);
      tag = predict({"b", "s3=" + last_three(word),
                     "p1=" + utf8(std::u32string_view(letters).substr(0, 1)), "w=" + around[at],
                     "sh=" + shape(word), i == 0 ? "i0" : "i+", "t-1=" + before, "t-2=" + before2,
                     "t-12=" + before + "," + before2, "w-1=" + around[at - 1],
                     "s3-1=" + last_three(around[at - 1]), "w-2=" + around[at - 2],
                     "w+1=" + around[at + 1], "s3+1=" + last_three(around[at + 1]),
                     "w+2=" + around[at + 2]});
    }
    out.push_back(tag);
    before2 = std::exchange(before, tag);
  }
  return out;
}

}  // namespace verge::engine::phonemes
