#include "engine/models/open.h"

#include "engine/models/bert/hub.h"
#include "engine/models/decoder/hub.h"
#include "engine/models/table.h"
#include "engine/models/whisper/hub.h"

namespace verge::engine {
namespace {

// A folder of the hub under its family's keys and names.
Result<> read_hub(ModelFile& file) {
  if (get_string(file.config, "model_type") == "whisper") return read_whisper_hub(&file);
  if (is_bert_config(file.config)) return read_bert_hub(&file);
  return read_decoder_hub(&file);
}

}  // namespace

Result<std::shared_ptr<ModelFile>> open_model_file(const std::string& path) {
  VERGE_ASSIGN(file, open_container(path));
  if (file->format == "hub") VERGE_TRY(read_hub(*file));
  for (const Architecture* architecture : architectures()) {
    if (file->architecture == architecture->name && architecture->adopt) VERGE_TRY(architecture->adopt(*file));
  }
  return file;
}

}  // namespace verge::engine
