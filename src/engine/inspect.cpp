#include "engine/inspect.h"

#include <map>
#include <string>

#include "engine/image_model.h"
#include "engine/models/bert/bert.h"
#include "engine/models/hibari/hibari.h"
#include "engine/models/open.h"
#include "engine/models/table.h"
#include "engine/models/whisper/whisper.h"
#include "engine/task_of.h"
#include "engine/tokenizers/tokenizer.h"
#include "support/voice_limits.h"

namespace verge::engine {
namespace {

Result<ModelNeed> need_of(ModelFile& file, const std::string& task, const Backend& backend, Precision precision) {
  if (task == "automatic-speech-recognition") {
    if (file.architecture != "whisper") return fail(Code::LoadFailed, "{}: architecture '{}' is not supported for speech", file.path, file.architecture);
    return whisper_need(file, backend, precision);
  }
  auto tokenizer = make_tokenizer(file);
  if (!tokenizer) return fail(Code::LoadFailed, "{}: {}", file.path, tokenizer.error().message);
  const auto embedding = file.tensors.find("token_embd.weight");
  if (embedding != file.tensors.end() && (*tokenizer)->vocabulary() > embedding->second.shape[0])
    return fail(Code::LoadFailed, "{}: the tokenizer has {} tokens, the model {}", file.path, (*tokenizer)->vocabulary(), embedding->second.shape[0]);
  // Layers behind the pooling are no part of the network (engine/projection.h).
  if (task == "text-embeddings") std::erase_if(file.tensors, [](const auto& tensor) { return tensor.first.starts_with("dense_"); });
  if (is_bert(file) && task != "text-generation") return bert_need(file, backend, precision);
  VERGE_ASSIGN(architecture, find_architecture(file));
  return architecture->need(file, backend, precision);
}

}  // namespace

Result<ModelFacts> inspect(const std::string& path, Precision precision) {
  VERGE_ASSIGN(task, task_of(path));
  ModelFacts facts{std::move(task), "", 0, {}};
  if (facts.task == "image-classification" || facts.task == "object-detection") {
    VERGE_ASSIGN(images, image_memory_needed(path));
    facts.architecture = std::move(images.architecture);
    facts.memory.push_back({"host", images.weights, 0, images.scratch});
    return facts;
  }
  VERGE_ASSIGN(backend, make_cpu_backend({1, ""}));
  if (facts.task == "text-to-speech") {
    VERGE_ASSIGN(voice, open_container(path));
    VERGE_ASSIGN(weights, hibari_bytes(*voice, *backend));
    facts.architecture = "hibari";
    facts.memory.push_back({"host", weights + limits::kFrontEndMemory, 0, limits::kVoiceScratch});
    return facts;
  }
  VERGE_ASSIGN(file, open_model_file(path));
  VERGE_ASSIGN(need, need_of(*file, facts.task, *backend, precision));
  facts.architecture = file->architecture;
  facts.context_tokens = need.context_tokens;
  facts.memory.push_back({"host", need.weights, need.kv_per_token, need.scratch});
  return facts;
}

}  // namespace verge::engine
