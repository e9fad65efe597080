// Whisper's vocabulary: byte-level text tokens below the end-of-text token, control tokens and timestamps from there on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/formats/model_file.h"
#include "engine/tokenizers/text_model.h"
#include "support/error.h"

namespace verge::engine {

class WhisperTokenizer {
 public:
  // Fails with LoadFailed where the file's tokens lack one that the model cannot do without.
  static Result<WhisperTokenizer> make(const ModelFile& file, int64_t vocabulary);

  // As tiktoken does with the ranks of openai/whisper; control tokens in the text are plain text.
  std::vector<int32_t> encode(std::string_view text) const;
  // Text tokens only; others are left out. Bytes that are no UTF-8 become U+FFFD.
  std::string decode(std::span<const int32_t> ids) const;
  std::string_view bytes(int32_t id) const { return id >= 0 && id < end ? std::string_view(tokens_[static_cast<size_t>(id)]) : std::string_view(); }

  // Words with their tokens; the end token, if there, is a word of its own with an empty text. Languages written without
  // spaces are cut at characters.
  struct Word {
    std::string text;
    std::vector<int32_t> tokens;
  };
  std::vector<Word> split_words(std::span<const int32_t> ids, std::string_view language) const;

  // "en" -> its token, -1 where the model has none.
  int32_t language(std::string_view code) const;
  struct Language {
    int32_t token;
    std::string code;
  };
  const std::vector<Language>& languages() const { return languages_; }

  bool multilingual = false;
  int32_t end = -1, start = -1, translate = -1, transcribe = -1, start_of_lm = -1, start_of_previous = -1, no_speech = -1, no_timestamps = -1;
  int32_t first_timestamp = -1;
  int32_t vocabulary = 0;
  std::vector<int32_t> suppressed;       // never produced: signs that stand for no speech, control tokens
  std::vector<int32_t> suppressed_first; // not at the start: blank and end

 private:
  void encode_word(std::string_view word, std::vector<int32_t>* out) const;
  std::vector<int32_t> non_speech() const;

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> ids_;  // of text tokens
  std::vector<Language> languages_;
  std::shared_ptr<Splitter> splitter_;
};

}  // namespace verge::engine
