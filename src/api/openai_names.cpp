#include "api/openai_names.h"

namespace verge::api {
namespace {

struct Family {
  std::string_view start;
  std::string_view task;
  int width = 0;  // of vectors
};
// The first that fits counts.
constexpr Family kFamilies[] = {
    {"gpt-4o-transcribe", "automatic-speech-recognition"},
    {"gpt-4o-mini-transcribe", "automatic-speech-recognition"},
    {"whisper-1", "automatic-speech-recognition"},
    {"tts-1", "text-to-speech"},
    {"gpt-4o-mini-tts", "text-to-speech"},
    {"text-embedding-3-large", "text-embeddings", 3072},
    {"text-embedding-3-", "text-embeddings", 1536},
    {"text-embedding-ada-002", "text-embeddings", 1536},
    {"gpt-3.5-turbo", "text-generation"},
    {"gpt-4", "text-generation"},
    {"gpt-5", "text-generation"},
    {"chatgpt-4o-latest", "text-generation"},
    {"codex-mini", "text-generation"},
    {"o1", "text-generation"},
    {"o3", "text-generation"},
    {"o4-mini", "text-generation"},
    {"davinci-002", "text-generation"},
    {"babbage-002", "text-generation"},
    {"text-davinci-003", "text-generation"},
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

namespace {

const Family* family_of(std::string_view name) {
  if (name.starts_with("openai/")) name.remove_prefix(7);
  // Sound out, pictures, live conversations, the web: tasks that a model of text alone does not do.
  for (std::string_view other : {"-tts", "-audio", "-realtime", "-image", "-search", "-live", "-diarize", "-deep-research"})
    if (contains(name, other) && !(other == "-tts" && name.starts_with("gpt-4o-mini-tts"))) return nullptr;
  for (const Family& family : kFamilies) {
    if (!name.starts_with(family.start)) continue;
    // "o1-mini" and "gpt-4.1" are of the family; "o1x" is not.
    const char next = name.size() > family.start.size() ? name[family.start.size()] : '-';
    const bool open = family.start.ends_with('-');
    if (open || next == '-' || next == '.' || (family.start == "gpt-4" && next == 'o')) return &family;
  }
  return nullptr;
}

}  // namespace

std::string_view task_of_openai_name(std::string_view name) {
  const Family* family = family_of(name);
  return family ? family->task : std::string_view();
}

std::string_view family_of_openai_name(std::string_view name) {
  const Family* family = family_of(name);
  if (!family) return {};
  return family->start.ends_with('-') ? family->start.substr(0, family->start.size() - 1) : family->start;
}

int width_of_openai_name(std::string_view name) {
  const Family* family = family_of(name);
  return family ? family->width : 0;
}

}  // namespace verge::api
