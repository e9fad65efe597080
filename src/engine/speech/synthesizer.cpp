#include "engine/speech/synthesizer.h"

#include <algorithm>
#include <filesystem>

#include "engine/formats/file_access.h"
#include "engine/phonemes/letters.h"
#include "engine/speech/vocoder.h"
#include "support/voice_limits.h"

namespace verge::engine {
namespace {

constexpr size_t kJsonLevels = 8;

Error wrong(const char* table) { return fail(Code::LoadFailed, "front_end.json: the table '{}'", table); }

// [text] -> its character, one each.
Result<std::u32string> read_characters(const json::object& table, const char* key) {
  std::u32string out;
  const json::array* list = get_array(table, key);
  if (!list) return wrong(key);
  for (const json::value& item : *list) {
    const std::u32string text = item.is_string() ? phonemes::characters(item.get_string()) : U"";
    if (text.size() != 1) return wrong(key);
    out += text;
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<Synthesizer>> Synthesizer::open(const std::string& path, Backend& backend,
                                                       const LoadOptions& options) {
  VERGE_ASSIGN(file, open_container(path));
  std::unique_ptr<Synthesizer> out(new Synthesizer());
  out->language_ = get_string(file->config, "language").value_or("");
  const std::string folder = file->path;
  VERGE_ASSIGN(text, read_file(std::filesystem::path(folder) / "front_end.json", limits::kFrontEndBytes));
  VERGE_ASSIGN(value, parse_json(text, kJsonLevels));
  const json::object* tables = value.if_object();
  if (!tables) return fail(Code::LoadFailed, "{}/front_end.json: no JSON object", folder);
  VERGE_ASSIGN(model, load_hibari(std::move(file), backend, options));
  out->model_ = std::move(model);
  VERGE_ASSIGN(english, phonemes::English::make(*tables));
  out->english_ = std::move(english);
  const json::object* alphabet = get_object(*tables, "alphabet");
  if (!alphabet) return wrong("alphabet");
  for (const auto& [sound, id] : *alphabet) {
    const std::u32string one = phonemes::characters(sound);
    if (one.size() != 1 || !id.is_int64() || id.get_int64() < 0 || id.get_int64() >= out->info().alphabet) {
      return wrong("alphabet");
    }
    out->alphabet_[one[0]] = static_cast<int32_t>(id.get_int64());
  }
  const json::object* spelling = get_object(*tables, "spelling");
  if (!spelling) return wrong("spelling");
  VERGE_ASSIGN(letters, read_characters(*spelling, "in"));
  VERGE_ASSIGN(sounds, read_characters(*spelling, "out"));
  if (letters.size() >= static_cast<size_t>(out->info().letters)) return wrong("spelling");
  for (size_t i = 0; i < letters.size(); ++i) out->letters_[letters[i]] = static_cast<int32_t>(i) + 1;
  out->sounds_ = std::move(sounds);
  const int64_t most = get_int(*spelling, "maxlen").value_or(0);
  if (most < 1 || most > 1000) return wrong("spelling");
  out->word_letters_ = static_cast<size_t>(most);
  return out;
}

// The network writes some slots a letter; repeats are one sound, 0 is none. A longer word is read
// in parts.
std::u32string Synthesizer::spell(std::string_view word) {
  std::vector<int32_t> ids;
  for (const char32_t c : phonemes::characters(word))
    if (const auto found = letters_.find(c); found != letters_.end()) ids.push_back(found->second);
  std::u32string out;
  for (size_t at = 0; at < ids.size(); at += word_letters_) {
    const size_t count = std::min(word_letters_, ids.size() - at);
    int32_t before = 0;
    for (const int32_t id : model_->spell(std::span(ids).subspan(at, count))) {
      if (id != before && id > 0 && static_cast<size_t>(id) <= sounds_.size()) out += sounds_[static_cast<size_t>(id) - 1];
      before = id;
    }
  }
  return out;
}

std::vector<std::u32string> Synthesizer::phonemes(std::string_view sentence) {
  return english_->pieces(sentence, [this](std::string_view letters) { return spell(letters); });
}

VoiceFrames Synthesizer::frames(std::u32string_view phonemes, float speed) {
  std::vector<int32_t> ids{0};
  for (const char32_t c : phonemes) {
    const auto found = alphabet_.find(c);
    if (found != alphabet_.end() && ids.size() + 1 < limits::kPhonemeIds) ids.push_back(found->second);
  }
  ids.push_back(0);
  VoiceFrames frames;
  model_->speak(ids, speed, &frames);
  return frames;
}

std::vector<float> Synthesizer::speak(std::u32string_view phonemes, float speed, uint64_t seed) {
  return vocode(frames(phonemes, speed), seed);
}

}  // namespace verge::engine
