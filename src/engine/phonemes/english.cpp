#include "engine/phonemes/english.h"

#include <algorithm>
#include <set>

#include "engine/phonemes/letters.h"
#include "engine/tokenizers/unicode.h"
#include "support/voice_limits.h"

namespace verge::engine::phonemes {
namespace {

constexpr size_t kPhonemes = 400;  // of a piece: longer ones are past what voices were trained on
constexpr std::u32string_view kPauses = U";:,.!?—…";
constexpr std::u32string_view kMarks = U";:,.!?—…\"“”";
constexpr std::u32string_view kSilent = U"',-._‘’/";  // within a word

enum Rule { kPart, kPiece, kSentenceEnd, kParagraph, kRules };


bool silent(std::string_view text) {
  const std::u32string all = characters(text);
  return std::ranges::all_of(all, [](char32_t c) { return kSilent.find(c) != kSilent.npos; });
}

bool is_pause(std::string_view text) {
  const std::u32string all = characters(text);
  return all.size() == 1 && kPauses.find(all[0]) != kPauses.npos;
}

bool is_punctuation_tag(std::string_view tag) {
  static const std::set<std::string_view> kTags{".", ",", "-LRB-", "-RRB-", "``", "\"\"", "''", ":", "$", "#", "NFP"};
  return kTags.contains(tag);
}

std::u32string marks_of(const Token& token) {
  if (token.tag == "-LRB-") return U"(";
  if (token.tag == "-RRB-") return U")";
  if (token.tag == "``") return U"“";
  if (token.tag == "\"\"" || token.tag == "''") return U"”";
  std::u32string out;
  for (const char32_t c : characters(token.text))
    if (kMarks.find(c) != kMarks.npos) out += c;
  return out;
}

const char32_t* symbol_sound(char32_t c) {
  switch (c) {
    case U'/': return U"slˈæʃ";
    case U'=': return U"ˈikwᵊlz";
    case U'+': return U"plˈʌs";
    case U'&': return U"ænd";
    case U'@': return U"æt";
    case U'%': return U"pəɹsˈɛnt";
    case U'#': return U"hˈæʃ";
    case U'*': return U"ˈæstəɹˌɪsk";
    case U'~': return U"tˈɪldə";
    case U'^': return U"kˈɛɹət";
    case U'<': return U"lˈɛs ðən";
    case U'>': return U"ɡɹˈATəɹ ðən";
    case U'—': return U"—";
    default: return U"";
  }
}

Following after(const Following& next, const std::optional<std::u32string>& phonemes, const Token& token) {
  Following out = next;
  if (phonemes) {
    for (const char32_t c : *phonemes) {
      const bool pause = kPauses.find(c) != kPauses.npos, vowel = is_vowel(c);
      if (!pause && !vowel && !is_consonant(c)) continue;
      out.vowel = pause ? std::nullopt : std::optional<bool>(vowel);
      break;
    }
  }
  out.to = token.text == "to" || token.text == "To" ||
           (token.text == "TO" && (token.tag == "TO" || token.tag == "IN"));
  return out;
}

Token merged(std::span<const Token> tokens) {
  Token out;
  int most = -1;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    out.text += token.text;
    if (token.space && i + 1 < tokens.size()) out.text += ' ';
    int weight = 0;
    for (const char32_t c : characters(token.text)) {
      const std::string one = utf8(std::u32string_view(&c, 1));
      weight += one == lower(one) ? 1 : 2;
    }
    if (weight > most) {
      most = weight;
      out.tag = token.tag;
    }
    if (token.currency) out.currency = std::max(out.currency.value_or(""), *token.currency);
  }
  out.space = tokens.back().space;
  out.head = tokens.front().head;
  out.before = tokens.front().before;
  return out;
}

// The stress of a word that is made of several: not all of its parts keep theirs.
void resolve(std::vector<Token>& tokens) {
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    text += tokens[i].text;
    if (tokens[i].space && i + 1 < tokens.size()) text += ' ';
  }
  std::set<int> kinds;
  for (const char32_t c : characters(text)) {
    if (kSilent.find(c) == kSilent.npos) kinds.insert(is_letter(c) ? 0 : c >= U'0' && c <= U'9' ? 1 : 2);
  }
  const bool apart = text.find_first_of(" /") != text.npos || kinds.size() > 1;
  for (size_t i = 0; i < tokens.size(); ++i) {
    Token& token = tokens[i];
    if (!token.phonemes) {
      if (i + 1 == tokens.size() && is_pause(token.text)) token.phonemes = characters(token.text);
      else if (silent(token.text)) token.phonemes = U"";
    } else if (i > 0) {
      token.before = apart;
    }
  }
  if (apart) return;
  std::vector<std::tuple<bool, int, size_t>> said;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].phonemes || tokens[i].phonemes->empty()) continue;
    said.emplace_back(tokens[i].phonemes->find(kPrimary) != std::u32string::npos, weight_of(*tokens[i].phonemes), i);
  }
  const auto weaken = [&](size_t i) { tokens[i].phonemes = with_stress(std::move(*tokens[i].phonemes), -0.5); };
  if (said.size() == 2 && characters(tokens[std::get<2>(said[0])].text).size() == 1) return weaken(std::get<2>(said[1]));
  const auto stressed = std::ranges::count_if(said, [](const auto& one) { return std::get<0>(one); });
  if (said.size() < 2 || stressed <= static_cast<std::ptrdiff_t>((said.size() + 1) / 2)) return;
  std::ranges::sort(said);
  for (size_t i = 0; i < said.size() / 2; ++i) weaken(std::get<2>(said[i]));
}

}  // namespace

Result<std::unique_ptr<English>> English::make(const json::object& tables) {
  const auto table = [&](const char* name) -> Result<const json::object*> {
    const json::object* found = get_object(tables, name);
    if (!found) return fail(Code::LoadFailed, "front_end.json: no table '{}'", name);
    return found;
  };
  VERGE_ASSIGN(normalize, table("normalize"));
  VERGE_ASSIGN(special, table("special_cases"));
  VERGE_ASSIGN(tags, table("tagger"));
  VERGE_ASSIGN(gold, table("gold"));
  VERGE_ASSIGN(silver, table("silver"));
  VERGE_ASSIGN(normalizer, Normalizer::make(*normalize));
  VERGE_ASSIGN(splitter, WordSplitter::make(*special));
  VERGE_ASSIGN(tagger, Tagger::make(*tags));
  VERGE_ASSIGN(lexicon, Lexicon::make(*gold, *silver));
  std::string expressions[kRules];
  expressions[kPart] =
      R"(^['‘’]+|[A-ZÀ-ÖØ-Þ](?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])|(?:^-)?(?:\d?[,.]?\d)+|[-_]+|['‘’]{2,})"
      R"(|[^\W\d_]*?(?:['‘’][^\W\d_])*?[a-zß-öø-ÿ](?=[A-ZÀ-ÖØ-Þ])|[^\W\d_]+(?:['‘’][^\W\d_])*)"
      R"(|[^\w\-'‘’]|['‘’]+$)";
  expressions[kPiece] = R"([^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[,.]\d+)*|[^\w\s]+)";
  expressions[kSentenceEnd] = R"((?<=[.!?…])["”’)\]]*\s+(?=\S))";
  expressions[kParagraph] = R"([^\r\n]+)";
  std::vector<Pattern> patterns;
  for (const std::string& expression : expressions) {
    VERGE_ASSIGN(pattern, Pattern::compile(expression));
    patterns.push_back(std::move(pattern));
  }
  return std::unique_ptr<English>(new English(std::move(normalizer), std::move(splitter), std::move(tagger),
                                              std::move(lexicon), std::move(patterns)));
}

// Not after a title or an initial ("Dr. Smith", "J. K. Rowling"), nor before a small letter.
bool English::ends_sentence(std::string_view paragraph, size_t end, std::string_view rest) const {
  const char32_t next = code_point_at(rest, 0).value;
  if (is_letter(next) && utf8(std::u32string_view(&next, 1)) == lower(utf8(std::u32string_view(&next, 1))) &&
      upper(utf8(std::u32string_view(&next, 1))) != utf8(std::u32string_view(&next, 1))) {
    return false;
  }
  if (end == 0 || paragraph[end - 1] != '.') return true;
  const size_t space = paragraph.substr(0, end).rfind(' ');
  std::string_view word = paragraph.substr(space == paragraph.npos ? 0 : space + 1);
  word = word.substr(0, end - 1 - static_cast<size_t>(word.data() - paragraph.data()));
  while (!word.empty() && std::string_view("(\"'").find(word.front()) != std::string_view::npos) word.remove_prefix(1);
  for (const std::string_view quote : {"“", "‘"})
    while (word.starts_with(quote)) word.remove_prefix(quote.size());
  const std::u32string all = characters(word);
  const bool initial = all.size() == 1 && is_letter(all[0]) && lower(word) != word;
  return !initial && !normalizer_.is_title(word);
}

std::vector<std::string> English::sentences(std::string_view text) const {
  std::vector<std::string> out;
  patterns_[kParagraph].each(text, [&](const Pattern::Match& line) {
    const std::string_view paragraph = line[0];
    size_t cut = 0;
    const auto put = [&](size_t end) {
      const std::string_view sentence = paragraph.substr(cut, end - cut);
      if (sentence.find_first_not_of(" \t") != sentence.npos) out.emplace_back(sentence);
    };
    patterns_[kSentenceEnd].each(paragraph, [&](const Pattern::Match& m) {
      if (!ends_sentence(paragraph, m.begin(), paragraph.substr(m.end()))) return;
      put(m.begin());
      cut = m.end();
    });
    put(paragraph.size());
  });
  return out;
}

std::vector<English::Group> English::grouped(const std::vector<Token>& tokens) const {
  std::vector<Group> words;
  bool open = false;  // the last group takes more tokens
  std::optional<std::string> currency;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    std::vector<Token> parts;
    patterns_[kPart].each(token.text, [&](const Pattern::Match& m) {
      Token part;
      part.text = m[0];
      part.tag = token.tag;
      parts.push_back(std::move(part));
    });
    if (parts.empty()) {
      parts.push_back(token);
      parts.back().phonemes = U"";
    }
    parts.back().space = token.space;
    for (size_t j = 0; j < parts.size(); ++j) {
      Token& part = parts[j];
      const bool ascii = std::ranges::all_of(part.text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      });
      if (part.phonemes) {
      } else if (part.tag == "$" && is_currency(part.text)) {
        currency = part.text;
        part.phonemes = U"";
      } else if (part.tag == ":" && (part.text == "-" || part.text == "–")) {
        part.phonemes = U"—";
      } else if (is_punctuation_tag(part.tag) && !ascii) {
        part.phonemes = marks_of(part);
      } else if (currency) {
        if (part.tag != "CD") currency.reset();
        else if (j + 1 == parts.size() && (i + 1 == tokens.size() || tokens[i + 1].tag != "CD")) part.currency = currency;
      } else if (j > 0 && j + 1 < parts.size() && part.text == "2" &&
                 is_letter(characters(parts[j - 1].text).back()) && is_letter(characters(parts[j + 1].text).front())) {
        part.alias = "to";
      }
      if (part.alias || part.phonemes) {
        words.push_back({part});
        open = false;
      } else if (open && !words.back().back().space) {
        part.head = false;
        words.back().push_back(part);
      } else {
        open = !part.space;
        words.push_back({part});
      }
    }
  }
  return words;
}

std::u32string English::fallback(const std::string& text, const Spell& spell) const {
  std::u32string out;
  patterns_[kPiece].each(text, [&](const Pattern::Match& m) {
    const char32_t first = code_point_at(m[0], 0).value;
    std::u32string said;
    if (first >= U'0' && first <= U'9') said = lexicon_.number(std::string(m[0]), {}, false).value_or(U"");
    else if (is_letter(first)) said = spell(m[0]);
    else
      for (const char32_t c : characters(m[0])) said += symbol_sound(c);
    if (!said.empty()) out += (out.empty() ? U"" : U" ") + said;
  });
  return out;
}

// From the right: the longest part that the lexicon reads, then what is left of it.
void English::read_group(Group& group, Following& next, const Spell& spell) const {
  if (group.size() == 1) {
    Token& token = group[0];
    if (!token.phonemes) token.phonemes = lexicon_.read(token, next);
    if (!token.phonemes) token.phonemes = fallback(token.text, spell);
    next = after(next, token.phonemes, token);
    return;
  }
  size_t left = 0, right = group.size();
  bool spelled = false;
  while (left < right) {
    const std::span<const Token> span(group.data() + left, right - left);
    const bool taken = std::ranges::any_of(span, [](const Token& t) { return t.alias || t.phonemes; });
    std::optional<std::u32string> said;
    Token whole;
    if (!taken) {
      whole = merged(span);
      said = lexicon_.read(whole, next);
    }
    if (said) {
      next = after(next, said, whole);
      group[left].phonemes = std::move(said);
      for (size_t i = left + 1; i < right; ++i) group[i].phonemes = U"";
      right = left;
      left = 0;
    } else if (left + 1 < right) {
      ++left;
    } else {
      Token& last = group[--right];
      if (!last.phonemes) {
        if (!silent(last.text)) {
          spelled = true;
          break;
        }
        last.phonemes = U"";
      }
      left = 0;
    }
  }
  if (!spelled) return resolve(group);
  group[0].phonemes = fallback(merged(group).text, spell);
  for (size_t i = 1; i < group.size(); ++i) group[i].phonemes = U"";
}

std::u32string English::phonemes(std::string_view sentence, const Spell& spell) const {
  const std::string text = normalizer_.run(sentence);
  const std::vector<Word> words = splitter_.run(text);
  const std::vector<std::string> tags = tagger_.run(words);
  std::vector<Token> tokens(words.size());
  for (size_t i = 0; i < words.size(); ++i) {
    tokens[i].text = words[i].text;
    tokens[i].tag = tags[i];
    tokens[i].space = words[i].space;
  }
  std::vector<Group> groups = grouped(tokens);
  Following next;
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) read_group(*group, next, spell);
  std::u32string out;
  for (const Group& group : groups) {
    std::u32string said;
    for (const Token& token : group) {
      if (!token.phonemes) continue;
      if (token.before && !said.empty() && said.back() != U' ' && !token.phonemes->empty()) said += U' ';
      said += *token.phonemes;
    }
    out += said;
    if (group.back().space) out += U' ';
  }
  for (char32_t& c : out) c = c == U'ɾ' ? U'T' : c == U'ʔ' ? U't' : c;
  const size_t first = out.find_first_not_of(U' '), last = out.find_last_not_of(U' ');
  return first == out.npos ? std::u32string() : out.substr(first, last - first + 1);
}

std::vector<std::u32string> English::pieces(std::string_view sentence, const Spell& spell) const {
  const std::u32string all = phonemes(sentence, spell);
  std::vector<std::u32string> out;
  // Something must be said: marks alone are silence.
  const auto put = [&](std::u32string_view piece) {
    if (std::ranges::any_of(piece, [](char32_t c) { return is_vowel(c) || is_consonant(c); })) out.emplace_back(piece);
  };
  std::u32string_view rest = all;
  while (rest.size() > kPhonemes) {
    size_t cut = 0, space = 0;
    for (size_t i = 1; i < kPhonemes; ++i) {
      if (rest[i] != U' ') continue;
      space = i;
      if (std::u32string_view(U",;:—").find(rest[i - 1]) != std::u32string_view::npos) cut = i;
    }
    if (cut == 0) cut = space;
    if (cut == 0) cut = kPhonemes;
    put(rest.substr(0, cut));
    rest.remove_prefix(std::min(cut + (rest[cut] == U' '), rest.size()));
  }
  put(rest);
  return out;
}

}  // namespace verge::engine::phonemes
