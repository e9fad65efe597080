#include "engine/formats/llama2c_vocabulary.h"

#include <cstring>

#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;  // GGUF's token types

int64_t type_of(size_t id, std::string_view token) {
  if (id == 0) return kUnknown;
  if (id <= 2) return kControl;
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>' ? kByte : kNormal;
}

std::string with_visible_spaces(std::string_view token) {
  std::string text;
  for (char c : token) {
    if (c == ' ') text += "\xe2\x96\x81";
    else text += c;
  }
  return text;
}

}  // namespace

Result<void> read_llama2c_vocabulary(std::string_view bytes, int64_t vocabulary, const std::string& path, ModelFile* file) {
  if (vocabulary < 3 || static_cast<uint64_t>(vocabulary) > limits::kVocabulary) return fail(Code::LoadFailed, "{}: a vocabulary of {} tokens", path, vocabulary);
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<int64_t> types;
  size_t at = sizeof(uint32_t);
  while (static_cast<int64_t>(tokens.size()) < vocabulary) {
    float score = 0;
    int32_t length = 0;
    if (at > bytes.size() || bytes.size() - at < sizeof score + sizeof length) return fail(Code::LoadFailed, "{}: ends after {} of {} tokens", path, tokens.size(), vocabulary);
    std::memcpy(&score, bytes.data() + at, sizeof score);
    std::memcpy(&length, bytes.data() + at + sizeof score, sizeof length);
    at += sizeof score + sizeof length;
    if (length < 0 || static_cast<size_t>(length) > bytes.size() - at) return fail(Code::LoadFailed, "{}: token {} is {} bytes long", path, tokens.size(), length);
    std::string_view token = bytes.substr(at, static_cast<size_t>(length));
    at += static_cast<size_t>(length);
    const size_t id = tokens.size();
    if (id == 1 || id == 2) token = id == 1 ? "<s>" : "</s>";
    types.push_back(type_of(id, token));
    tokens.push_back(with_visible_spaces(token));
    scores.push_back(static_cast<double>(score));
  }
  if (at != bytes.size()) return fail(Code::LoadFailed, "{}: {} bytes follow the last of {} tokens", path, bytes.size() - at, vocabulary);
  file->meta["tokenizer.ggml.model"] = std::string("llama");
  file->meta["tokenizer.ggml.tokens"] = std::move(tokens);
  file->meta["tokenizer.ggml.scores"] = std::move(scores);
  file->meta["tokenizer.ggml.token_type"] = std::move(types);
  file->meta["tokenizer.ggml.bos_token_id"] = int64_t{1};
  file->meta["tokenizer.ggml.eos_token_id"] = int64_t{2};
  file->meta["tokenizer.ggml.unknown_token_id"] = int64_t{0};
  return {};
}

}  // namespace verge::engine
