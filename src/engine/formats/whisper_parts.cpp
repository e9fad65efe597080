#include "engine/formats/whisper_parts.h"

#include <cstring>

#include "engine/formats/mapped_file.h"

namespace verge::engine {

std::span<const std::string_view> whisper_languages() {
  static constexpr std::string_view kLanguages[] = {
      "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id", "hi", "fi", "vi",
      "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg", "lt", "la", "mi", "ml", "cy", "sk",
      "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br", "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw",
      "gl", "mr", "pa", "si", "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo",
      "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue"};
  return kLanguages;
}

Result<> add_whisper_specials(const std::string& path, int64_t vocabulary, std::vector<std::string>* tokens) {
  // 1501 timestamps and 8 control tokens besides the languages.
  constexpr int64_t kOthers = 1509;
  // Files of multilingual models carry 50257 text tokens, the end included or not; English ones one less.
  const bool multilingual = vocabulary >= 51865;
  const size_t text = multilingual ? 50257 : 50256;
  const int64_t languages = vocabulary - static_cast<int64_t>(text) - kOthers;
  if (tokens->size() < text || languages < 1 || languages > static_cast<int64_t>(whisper_languages().size())) {
    return fail(Code::LoadFailed, "{}: {} text tokens of {} are no vocabulary of Whisper", path, tokens->size(), vocabulary);
  }
  tokens->resize(text);
  tokens->insert(tokens->end(), {"<|endoftext|>", "<|startoftranscript|>"});
  for (int64_t i = 0; i < languages; ++i) tokens->push_back(fmt::format("<|{}|>", whisper_languages()[static_cast<size_t>(i)]));
  tokens->insert(tokens->end(), {"<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"});
  for (int i = 0; i <= 1500; ++i) tokens->push_back(fmt::format("<|{}.{:02}|>", i / 50, i % 50 * 2));
  if (static_cast<int64_t>(tokens->size()) != vocabulary) return fail(Code::LoadFailed, "{}: {} tokens, the model has {}", path, tokens->size(), vocabulary);
  return {};
}

Result<> align_tensors(ModelFile* file) {
  constexpr size_t kAlign = 64;
  const auto odd = [](const TensorView& view) {
    const size_t need = view.type == DType::F32 || view.type == DType::I32 ? 4 : 2;
    return reinterpret_cast<uintptr_t>(view.data) % need != 0;
  };
  size_t bytes = 0;
  for (const auto& [name, view] : file->tensors) bytes += odd(view) ? (view.bytes + kAlign - 1) / kAlign * kAlign : 0;
  if (bytes == 0) return {};
  VERGE_ASSIGN(owned, MappedFile::allocate(bytes, file->path));
  std::byte* at = owned->owned_data();
  for (auto& [name, view] : file->tensors) {
    if (!odd(view)) continue;
    std::memcpy(at, view.data, view.bytes);
    for (const auto& map : file->maps) map->release(view.data, view.bytes);
    view.data = at;
    at += (view.bytes + kAlign - 1) / kAlign * kAlign;
  }
  file->maps.push_back(std::move(owned));
  return {};
}

}  // namespace verge::engine
