// A vocabulary of Whisper's build, small enough to read: 256 bytes, a few words, control tokens, timestamps.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/speech/whisper_tokenizer.h"

namespace verge::engine {

inline std::vector<std::string> tiny_tokens() {
  std::vector<std::string> tokens;
  for (int i = 0; i < 256; ++i) tokens.emplace_back(1, static_cast<char>(i));
  for (const char* text : {"he", "ll", "hell", "hello", " w", "or", " wor", "ld", " world", "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>",
                           "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"})
    tokens.emplace_back(text);
  for (int i = 0; i <= 1500; ++i) tokens.push_back(fmt::format("<|{}.{:02}|>", i / 50, i % 50 * 2));
  return tokens;
}

inline ModelFile tiny_file(std::vector<std::string> tokens) {
  ModelFile file;
  file.path = "test";
  file.meta["tokens"] = std::move(tokens);
  file.meta["is_multilingual"] = true;
  return file;
}

inline WhisperTokenizer tiny_tokenizer() {
  auto tokens = tiny_tokens();
  const auto count = static_cast<int64_t>(tokens.size());
  auto tokenizer = WhisperTokenizer::make(tiny_file(std::move(tokens)), count);
  EXPECT_TRUE(tokenizer) << (tokenizer ? "" : tokenizer.error().message);
  return std::move(*tokenizer);
}

}  // namespace verge::engine
