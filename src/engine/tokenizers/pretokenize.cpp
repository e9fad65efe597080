// Cutting text into words. The table of names comes from the tokenizer.json files of the models: where a
// converter's adaptation of a pattern and the model's own differ, the model's own is here, as it was trained
// with it. The patterns are data; "\s", "\p{Han}" and possessive repeats read as in the models' own engines
// (see regex.cpp).
#include "engine/tokenizers/pretokenize.h"

#include <algorithm>

#include "engine/tokenizers/unicode.h"
#include "support/utf8.h"

namespace verge::engine {
namespace {

using Patterns = std::span<const std::string_view>;

#define VERGE_CONTRACTION R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))"
// GPT-2 and the parts that many share.
#define VERGE_GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
#define VERGE_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define VERGE_CASED_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define VERGE_CASED_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define VERGE_CASED_WORDS(suffix)                                                                                       \
  R"([^\r\n\p{L}\p{N}]?)" VERGE_CASED_UPPER "*" VERGE_CASED_LOWER "+" suffix R"(|[^\r\n\p{L}\p{N}]?)" VERGE_CASED_UPPER \
  "+" VERGE_CASED_LOWER "*" suffix
#define VERGE_PUNCTUATED_WORDS R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+)"

constexpr std::string_view kGpt2[] = {VERGE_GPT2};
constexpr std::string_view kDigitsGpt2[] = {R"(\p{N})", VERGE_GPT2};
constexpr std::string_view kDefault[] = {R"([\p{P}\$\+<=>\^~\|]+)", VERGE_GPT2, R"(\p{N}+)", "[0-9][0-9][0-9]"};
constexpr std::string_view kFalcon[] = {R"([\p{P}\$\+<=>\^~\|`]+)", VERGE_GPT2, "[0-9][0-9][0-9]"};
constexpr std::string_view kLlama3[] = {VERGE_CONTRACTION
                                        R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kJais2[] = {
    VERGE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|)"
                      R"(\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})"};
constexpr std::string_view kQwen2[] = {VERGE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kQwen35[] = {VERGE_CONTRACTION
                                        R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kQwen2NoContractions[] = {R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kLinesQwen2[] = {R"([^\n]+|[\n]+)", kQwen2[0]};
constexpr std::string_view kLines[] = {R"([^\n]+|[\n]+)"};
constexpr std::string_view kMiniCpm5[] = {R"(\p{N}{1,3})",
                                          VERGE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kDeepSeekLlm[] = {
    R"([\r\n])",
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373})"
    R"(\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-)"
    R"(\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-)"
    R"(\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50})"
    R"(-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-)"
    R"(\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-)"
    R"(\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-)"
    R"(\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13})"
    R"(-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-)"
    R"(\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    R"(\s+$)",
    R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)",
    R"(\p{N}+)"};
constexpr std::string_view kDeepSeekCoder[] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                                               R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", R"(\p{N})"};
constexpr std::string_view kDeepSeek3[] = {R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
                                           VERGE_PUNCTUATED_WORDS R"([\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kSpark[] = {R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
                                       VERGE_PUNCTUATED_WORDS R"(|[\r\n]|\s+(?!\S)|\s+)", R"(\p{N})"};
constexpr std::string_view kAfmoe[] = {
    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{8C48}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF}\x{FF65}-\x{FF9F}\x{2F00}-)"
    R"(\x{2FDF}\x{E40}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F}\x{A9E0}-\x{A9FF}\x{AC00}-)"
    R"(\x{D7AF}\x{1100}-\x{11FF}]+)",
    VERGE_PUNCTUATED_WORDS R"([\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kYoutu[] = {
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014}\x{FF1A}\x{FF1B})"
    R"(\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF})"
    R"(]+)",
    VERGE_CASED_WORDS(VERGE_CONTRACTION "?") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" VERGE_SPACES};
constexpr std::string_view kTekken[] = {VERGE_CASED_WORDS("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" VERGE_SPACES};
constexpr std::string_view kGpt4o[] = {VERGE_CASED_WORDS(VERGE_CONTRACTION "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" VERGE_SPACES};
constexpr std::string_view kKimiK2[] = {
    R"(\p{Han}+|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])*(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])+)" VERGE_CONTRACTION
    R"(?|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])+(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])*)" VERGE_CONTRACTION
    R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" VERGE_SPACES};
constexpr std::string_view kBloom[] = {R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)"};
constexpr std::string_view kViking[] = {R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)", R"(\p{N})"};
constexpr std::string_view kChameleon[] = {
    "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", R"(([\t\n]|    |  ))", R"(\p{N})", R"([\p{P}!-/:-@\[-`{-~])", VERGE_GPT2};
constexpr std::string_view kBailing[] = {
    R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr std::string_view kSeedCoder[] = {VERGE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" VERGE_SPACES};
constexpr std::string_view kExaoneMoe[] = {
    VERGE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"};

struct Named {
  std::string_view name;
  PreTokenizer pre;
};

constexpr PreTokenizer plain(Patterns patterns) { return {.patterns = patterns}; }
constexpr PreTokenizer whole_words(Patterns patterns, bool bos = false) {
  return {.patterns = patterns, .ignore_merges = true, .adds_bos = bos};
}
constexpr PreTokenizer grouped(Patterns patterns, PreTokenizer::Digits digits = PreTokenizer::Digits::Grouped) {
  return {.patterns = patterns, .digits = digits};
}

constexpr Named kTable[] = {
    {"", plain(kDefault)},
    {"default", plain(kDefault)},
    {"llama3", whole_words(kLlama3, true)},
    {"llama-v3", whole_words(kLlama3, true)},
    {"llama-bpe", whole_words(kLlama3, true)},
    {"falcon3", whole_words(kLlama3, true)},
    {"falcon-h1", whole_words(kLlama3, true)},
    {"pixtral", whole_words(kLlama3, true)},
    {"midm-2.0", whole_words(kLlama3, true)},
    {"lfm2", whole_words(kLlama3, true)},
    {"jina-v5-nano", whole_words(kLlama3, true)},
    {"dbrx", plain(kLlama3)},
    {"smaug-bpe", plain(kLlama3)},
    {"chatglm-bpe", plain(kLlama3)},
    {"glm4", whole_words(kLlama3)},
    {"glm5", whole_words(kLlama3)},
    {"jais-2", plain(kJais2)},
    {"minicpm5", whole_words(kMiniCpm5)},
    {"deepseek-llm", plain(kDeepSeekLlm)},
    {"deepseek-coder", plain(kDeepSeekCoder)},
    {"deepseek-v3", plain(kDeepSeek3)},
    {"hunyuan-dense", plain(kDeepSeek3)},
    {"joyai-llm", plain(kDeepSeek3)},
    {"hy_v4", plain(kDeepSeek3)},
    {"spark2_5", plain(kSpark)},
    {"youtu", whole_words(kYoutu)},
    {"falcon", plain(kFalcon)},
    {"starcoder", plain(kDigitsGpt2)},
    {"refact", plain(kDigitsGpt2)},
    {"command-r", plain(kDigitsGpt2)},
    {"smollm", plain(kDigitsGpt2)},
    {"codeshell", plain(kDigitsGpt2)},
    {"exaone", plain(kDigitsGpt2)},
    {"minerva-7b", plain(kDigitsGpt2)},
    {"mellum2", plain(kDigitsGpt2)},
    {"gpt-2", plain(kGpt2)},
    {"phi-2", plain(kGpt2)},
    {"mpt", plain(kGpt2)},
    {"olmo", plain(kGpt2)},
    {"jais", plain(kGpt2)},
    {"trillion", plain(kGpt2)},
    {"granite-docling", plain(kGpt2)},
    {"exaone4", plain(kGpt2)},
    {"gigachat", plain(kGpt2)},
    {"a.x-4.0", plain(kGpt2)},
    {"mellum", plain(kGpt2)},
    {"modern-bert", plain(kGpt2)},
    {"jina-es", plain(kGpt2)},
    {"jina-de", plain(kGpt2)},
    {"jina-v2-es", plain(kGpt2)},
    {"jina-v2-de", plain(kGpt2)},
    {"jina-v1-en", plain(kGpt2)},
    {"jina-v2-code", plain(kGpt2)},
    {"roberta-bpe", plain(kGpt2)},
    {"qwen2", plain(kQwen2)},
    {"deepseek-r1-qwen", plain(kQwen2)},
    {"kormo", plain(kQwen2)},
    {"f2llmv2", plain(kQwen2)},
    {"megrez", plain(kQwen2)},
    {"stablelm2", plain(kQwen2)},
    {"hunyuan", plain(kQwen2)},
    {"solar-open", plain(kQwen2)},
    {"grok-2", plain(kQwen2)},
    {"qwen35", plain(kQwen35)},
    {"ufakzeka", plain(kQwen2NoContractions)},
    {"laguna", plain(kLinesQwen2)},
    {"poro-chat", plain(kBloom)},
    {"bloom", plain(kBloom)},
    {"gpt3-finnish", plain(kBloom)},
    {"viking", plain(kViking)},
    {"tekken", whole_words(kTekken, true)},
    {"chameleon", {.patterns = kChameleon, .adds_bos = true}},
    {"gpt-4o", plain(kGpt4o)},
    {"llama4", plain(kGpt4o)},
    {"kanana2", plain(kGpt4o)},
    {"talkie", plain(kGpt4o)},
    {"minimax-m2", plain(kGpt4o)},
    {"granite-embed-multi-97m", whole_words(kGpt4o)},
    {"tiny_aya", grouped(kGpt4o, PreTokenizer::Digits::GroupedAtWordEnd)},
    {"cohere2moe", grouped(kGpt4o, PreTokenizer::Digits::GroupedAtWordEnd)},
    {"kimi-k2", plain(kKimiK2)},
    {"superbpe", grouped({})},
    {"bailingmoe", plain(kBailing)},
    {"bailingmoe2", plain(kBailing)},
    {"llada-moe", plain(kBailing)},
    {"seed-coder", plain(kSeedCoder)},
    {"exaone-moe", plain(kExaoneMoe)},
    {"afmoe", grouped(kAfmoe)},
    {"gemma4", {.patterns = kLines, .adds_bos_always = true, .space_symbols = true}},
    {"granite-embed-multi-311m", {.patterns = kLines, .adds_bos_always = true, .space_symbols = true}},
    {"sarvam-moe", {.patterns = kLines, .space_symbols = true}},
};

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const Named& entry : kTable) {
    if (entry.name == name) return &entry.pre;
  }
  return nullptr;
}

void apply_behavior(std::string_view text, std::span<const Stretch> stretches, SplitBehavior behavior, std::vector<std::string_view>* out) {
  auto put = [&](size_t begin, size_t end) {
    if (end > begin) out->push_back(text.substr(begin, end - begin));
  };
  switch (behavior) {
    case SplitBehavior::Removed:
      for (const Stretch& s : stretches) {
        if (!s.match) put(s.begin, s.end);
      }
      return;
    case SplitBehavior::Isolated:
      for (const Stretch& s : stretches) put(s.begin, s.end);
      return;
    case SplitBehavior::Contiguous: {
      for (size_t i = 0; i < stretches.size();) {
        size_t j = i + 1;
        while (j < stretches.size() && stretches[j].match == stretches[i].match) ++j;
        put(stretches[i].begin, stretches[j - 1].end);
        i = j;
      }
      return;
    }
    case SplitBehavior::MergedWithPrevious: {  // a match joins the gap before it; two matches in a row stay apart
      size_t begin = 0;
      bool open = false, previous_match = false;
      for (const Stretch& s : stretches) {
        if (open && !(s.match && !previous_match)) {
          put(begin, s.begin);
          open = false;
        }
        if (!open) begin = s.begin;
        open = true;
        previous_match = s.match;
      }
      if (open) put(begin, stretches.back().end);
      return;
    }
    case SplitBehavior::MergedWithNext: {  // a match joins the gap after it
      size_t begin = 0;
      bool open = false, previous_match = false;
      for (const Stretch& s : stretches) {
        if (open && !(previous_match && !s.match)) {
          put(begin, s.begin);
          open = false;
        }
        if (!open) begin = s.begin;
        open = true;
        previous_match = s.match;
      }
      if (open) put(begin, stretches.back().end);
      return;
    }
  }
}

void RegexSplitter::apply(Words* words) const {
  std::vector<std::string_view> cut;
  cut.reserve(words->list.size());
  std::vector<Stretch> stretches;
  auto split_valid = [&](std::string_view text) {
    stretches.clear();
    Regex::Matches matches(regex_, text);
    size_t at = 0, begin = 0, end = 0;
    while (matches.next(&begin, &end)) {
      if (begin > at) stretches.push_back({at, begin, invert_});
      if (end > begin) stretches.push_back({begin, end, !invert_});
      at = end;
    }
    if (at < text.size()) stretches.push_back({at, text.size(), invert_});
    apply_behavior(text, stretches, behavior_, &cut);
  };
  for (std::string_view text : words->list) {
    while (!text.empty()) {
      size_t valid = std::min(first_invalid_utf8(text), text.size());
      if (valid > 0) split_valid(text.substr(0, valid));
      text.remove_prefix(valid);
      if (text.empty()) break;
      size_t invalid = 1;
      while (invalid < text.size() && !code_point_at(text, invalid).valid) ++invalid;
      cut.push_back(text.substr(0, invalid));
      text.remove_prefix(invalid);
    }
  }
  words->list = std::move(cut);
}

bool DigitGroupSplitter::is_digit(char32_t point) const { return word_end_ ? is_decimal_digit(point) : is_number(point); }

void DigitGroupSplitter::apply(Words* words) const {
  std::vector<std::string_view> cut;
  std::vector<size_t> digits;  // beginnings of the digits of one run
  for (std::string_view text : words->list) {
    size_t rest = 0, at = 0;
    while (at < text.size()) {
      digits.clear();
      size_t end = at;
      while (end < text.size()) {
        CodePoint point = code_point_at(text, end);
        if (!point.valid || !is_digit(point.value)) break;
        digits.push_back(end);
        end += point.length;
      }
      if (digits.empty()) {
        at += code_point_at(text, at).length;
        continue;
      }
      if (word_end_ && end < text.size() && is_word_character(code_point_at(text, end).value)) {
        at = end;
        continue;
      }
      if (at > rest) cut.push_back(text.substr(rest, at - rest));
      digits.push_back(end);
      size_t first = 0, count = digits.size() - 1;
      for (size_t next = count % 3 == 0 ? 3 : count % 3; next <= count; first = next, next += 3) {
        cut.push_back(text.substr(digits[first], digits[next] - digits[first]));
      }
      rest = at = end;
    }
    if (rest < text.size()) cut.push_back(text.substr(rest));
  }
  words->list = std::move(cut);
}

Result<std::unique_ptr<Splitter>> make_splitter(const PreTokenizer& pre) {
  std::vector<std::unique_ptr<Splitter>> parts;
  if (pre.digits != PreTokenizer::Digits::Together) {
    parts.push_back(std::make_unique<DigitGroupSplitter>(pre.digits == PreTokenizer::Digits::GroupedAtWordEnd));
  }
  for (std::string_view pattern : pre.patterns) {
    VERGE_ASSIGN(regex, Regex::compile(pattern));
    parts.push_back(std::make_unique<RegexSplitter>(std::move(regex)));
  }
  if (parts.size() == 1) return std::move(parts[0]);
  return std::unique_ptr<Splitter>(std::make_unique<SplitterSequence>(std::move(parts)));
}

}  // namespace verge::engine
