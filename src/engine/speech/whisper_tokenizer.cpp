#include "engine/speech/whisper_tokenizer.h"

#include <algorithm>
#include <set>

#include "engine/formats/whisper_parts.h"
#include "engine/tokenizers/pretokenize.h"
#include "engine/tokenizers/unicode.h"
#include "support/limits.h"
#include "support/utf8.h"

namespace verge::engine {
namespace {

// Merging looks at every pair again: a longer run without a space is cut first.
constexpr size_t kWordBytes = 1024;

bool is_special(std::string_view token) { return token.starts_with("<|") && token.ends_with("|>"); }

// Python's str.strip() of what a token can hold.
std::string_view strip(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<WhisperTokenizer> WhisperTokenizer::make(const ModelFile& file, int64_t vocabulary) {
  WhisperTokenizer t;
  const auto list = file.meta.find("tokens");
  const auto* tokens = list == file.meta.end() ? nullptr : std::get_if<std::vector<std::string>>(&list->second);
  if (!tokens) return fail(Code::LoadFailed, "{}: no vocabulary: the tokenizer's files are missing", file.path);
  if (static_cast<int64_t>(tokens->size()) > vocabulary) return fail(Code::LoadFailed, "{}: the vocabulary has {} tokens, the model {}", file.path, tokens->size(), vocabulary);
  const bool byte_level = file.boolean("tokens_byte_level").value_or(false);
  t.vocabulary = static_cast<int32_t>(vocabulary);
  std::map<std::string_view, int32_t> specials;
  for (size_t id = 0; id < tokens->size(); ++id) {
    const std::string& text = (*tokens)[id];
    if (text.size() > limits::kSpeechTokenBytes) return fail(Code::LoadFailed, "{}: token {} has {} bytes, limit {}", file.path, id, text.size(), limits::kSpeechTokenBytes);
    if (is_special(text)) specials.emplace(text, static_cast<int32_t>(id));
    if (is_special(text) || !byte_level) {
      t.tokens_.push_back(text);
    } else {
      byte_level_to_bytes(text, &t.tokens_.emplace_back());
    }
  }
  const auto id_of = [&](std::string_view name) {
    const auto it = specials.find(name);
    return it == specials.end() ? -1 : it->second;
  };
  t.end = id_of("<|endoftext|>");
  t.start = id_of("<|startoftranscript|>");
  t.translate = id_of("<|translate|>");
  t.transcribe = id_of("<|transcribe|>");
  t.start_of_lm = id_of("<|startoflm|>");
  t.start_of_previous = id_of("<|startofprev|>");
  t.no_speech = id_of("<|nospeech|>");
  if (t.no_speech < 0) t.no_speech = id_of("<|nocaptions|>");  // its name before 2022-11
  t.no_timestamps = id_of("<|notimestamps|>");
  t.first_timestamp = id_of("<|0.00|>");
  // The hub's tokenizer.json ends before the timestamps.
  if (t.first_timestamp < 0 && t.no_timestamps >= 0) t.first_timestamp = t.no_timestamps + 1;
  const std::pair<const char*, int32_t> needed[] = {{"<|endoftext|>", t.end}, {"<|startoftranscript|>", t.start}, {"<|startofprev|>", t.start_of_previous},
                                                    {"<|notimestamps|>", t.no_timestamps}};
  for (const auto& [name, id] : needed) {
    if (id < 0) return fail(Code::LoadFailed, "{}: the vocabulary lacks {}", file.path, name);
  }
  if (t.first_timestamp <= t.end || t.start <= t.end || t.first_timestamp >= vocabulary) return fail(Code::LoadFailed, "{}: the vocabulary's tokens are out of order", file.path);
  for (const auto code : whisper_languages()) {
    if (const int32_t id = id_of(fmt::format("<|{}|>", code)); id > t.end) t.languages_.push_back({id, std::string(code)});
  }
  t.multilingual = file.boolean("is_multilingual").value_or(vocabulary >= 51865);
  if (t.multilingual && (t.languages_.empty() || t.translate < 0 || t.transcribe < 0)) return fail(Code::LoadFailed, "{}: the vocabulary lacks languages or tasks", file.path);
  for (int32_t id = 0; id < t.end; ++id) t.ids_.emplace(t.tokens_[static_cast<size_t>(id)], id);
  VERGE_ASSIGN(splitter, make_splitter(*find_pre_tokenizer("gpt-2")));
  t.splitter_ = std::move(splitter);

  t.suppressed = t.non_speech();
  for (int32_t id : {t.transcribe, t.translate, t.start, t.start_of_previous, t.start_of_lm, t.no_speech}) {
    if (id >= 0) t.suppressed.push_back(id);
  }
  // Ids beyond the vocabulary that a converter padded.
  for (int32_t id = std::max<int32_t>(t.first_timestamp + 1501, static_cast<int32_t>(tokens->size())); id < t.vocabulary; ++id) t.suppressed.push_back(id);
  t.suppressed_first = t.encode(" ");
  t.suppressed_first.push_back(t.end);
  return t;
}

void WhisperTokenizer::encode_word(std::string_view word, std::vector<int32_t>* out) const {
  if (word.size() > kWordBytes) {
    for (size_t at = 0; at < word.size(); at += kWordBytes) encode_word(word.substr(at, kWordBytes), out);
    return;
  }
  if (const auto whole = ids_.find(std::string(word)); whole != ids_.end()) {
    out->push_back(whole->second);
    return;
  }
  // Pieces by where they begin; the pair whose joining has the lowest id goes first.
  std::vector<size_t> cuts;
  for (size_t i = 0; i <= word.size(); ++i) cuts.push_back(i);
  const auto rank = [&](size_t i) {
    if (i + 2 >= cuts.size()) return INT32_MAX;
    const auto it = ids_.find(std::string(word.substr(cuts[i], cuts[i + 2] - cuts[i])));
    return it == ids_.end() ? INT32_MAX : it->second;
  };
  std::vector<int32_t> ranks;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) ranks.push_back(rank(i));
  while (ranks.size() > 1) {
    const auto best = std::min_element(ranks.begin(), ranks.end());
    if (*best == INT32_MAX) break;
    const auto at = static_cast<size_t>(best - ranks.begin());
    cuts.erase(cuts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    ranks.erase(best + 1);
    ranks[at] = rank(at);
    if (at > 0) ranks[at - 1] = rank(at - 1);
  }
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    const auto it = ids_.find(std::string(word.substr(cuts[i], cuts[i + 1] - cuts[i])));
    if (it != ids_.end()) out->push_back(it->second);
  }
}

std::vector<int32_t> WhisperTokenizer::encode(std::string_view text) const {
  Words words;
  words.list.push_back(text);
  splitter_->apply(&words);
  std::vector<int32_t> ids;
  for (std::string_view word : words.list) encode_word(word, &ids);
  return ids;
}

std::string WhisperTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (int32_t id : ids) text += bytes(id);
  return lossy_utf8(whole_characters(text));
}

// openai/whisper, tokenizer.py, non_speech_tokens: signs that transcripts of sounds, speakers and music are made of.
std::vector<int32_t> WhisperTokenizer::non_speech() const {
  static constexpr std::string_view kSigns[] = {
      "\"", "#", "(", ")", "*", "+", "/", ":", ";", "<", "=", ">", "@", "[", "\\", "]", "^", "_", "`", "{", "|", "}", "~", "「", "」", "『", "』",
      "<<", ">>", "<<<", ">>>", "--", "---", "-(", "-[", "('", "(\"", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}", "♪♪", "♪♪♪"};
  static constexpr std::string_view kMusic[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};
  std::set<int32_t> found;
  const auto add = [&](const std::string& text, bool first_part) {
    const auto ids = encode(text);
    if (ids.size() == 1 || (first_part && !ids.empty())) found.insert(ids[0]);
  };
  // A hyphen or an apostrophe between words is fine; at the start of one it is not.
  add(" -", true);
  add(" '", true);
  for (std::string_view sign : kSigns) add(std::string(sign), false), add(" " + std::string(sign), false);
  for (std::string_view sign : kMusic) add(std::string(sign), true), add(" " + std::string(sign), true);
  return {found.begin(), found.end()};
}

std::vector<WhisperTokenizer::Word> WhisperTokenizer::split_words(std::span<const int32_t> ids, std::string_view language) const {
  std::string full;
  for (int32_t id : ids) full += bytes(id);
  // Tokens together until they are whole characters, or hold bytes that no later token makes whole.
  std::vector<Word> pieces;
  Word current;
  size_t begin = 0;
  for (int32_t id : ids) {
    current.tokens.push_back(id);
    current.text += bytes(id);
    const size_t valid = std::min(first_invalid_utf8(current.text), current.text.size());
    if (valid == current.text.size() || !code_point_at(full, begin + valid).valid) {
      begin += current.text.size();
      current.text = lossy_utf8(current.text);
      pieces.push_back(std::move(current));
      current = {};
    }
  }
  if (!current.tokens.empty())
    pieces.push_back({lossy_utf8(whole_characters(current.text)), current.tokens});
  for (std::string_view code : {"zh", "ja", "th", "lo", "my", "yue"}) {
    if (language == code) return pieces;
  }
  std::vector<Word> words;
  for (Word& piece : pieces) {
    const std::string_view bare = strip(piece.text);
    const bool punctuation = bare.size() <= 1 && (bare.empty() || is_ascii_punctuation(static_cast<unsigned char>(bare[0])));
    if (words.empty() || piece.tokens[0] >= end || piece.text.starts_with(' ') || punctuation) {
      words.push_back(std::move(piece));
    } else {
      words.back().text += piece.text;
      words.back().tokens.insert(words.back().tokens.end(), piece.tokens.begin(), piece.tokens.end());
    }
  }
  return words;
}

int32_t WhisperTokenizer::language(std::string_view code) const {
  for (const Language& language : languages_) {
    if (language.code == code) return language.token;
  }
  return -1;
}

}  // namespace verge::engine
