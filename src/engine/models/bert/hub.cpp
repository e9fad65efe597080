#include "engine/models/bert/hub.h"

#include <algorithm>
#include <utility>

#include "engine/models/parts/hub_tensors.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr Pair kLayer[] = {
    {"attention.self.query", "attn_q"},
    {"attention.self.key", "attn_k"},
    {"attention.self.value", "attn_v"},
    {"attention.output.dense", "attn_output"},
    {"attention.output.LayerNorm", "attn_output_norm"},
    {"intermediate.dense", "ffn_up"},
    {"output.dense", "ffn_down"},
    {"output.LayerNorm", "layer_output_norm"},
};
constexpr Pair kDistilLayer[] = {
    {"attention.q_lin", "attn_q"},          {"attention.k_lin", "attn_k"},  {"attention.v_lin", "attn_v"},
    {"attention.out_lin", "attn_output"},   {"sa_layer_norm", "attn_output_norm"},
    {"ffn.lin1", "ffn_up"},                 {"ffn.lin2", "ffn_down"},       {"output_layer_norm", "layer_output_norm"},
};
constexpr Pair kOutside[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
};
// Heads. BertForSequenceClassification: pooler.dense, classifier; RoBERTa: classifier.dense, classifier.out_proj;
// DistilBERT: pre_classifier, classifier.
constexpr Pair kHeads[] = {
    {"pooler.dense", "cls"},         {"pre_classifier", "cls"},           {"classifier.dense", "cls"},
    {"classifier", "cls.output"},    {"classifier.out_proj", "cls.output"},
};

template <size_t N>
std::string_view find(const Pair (&table)[N], std::string_view name) {
  const auto* it = std::find_if(table, table + N, [&](const Pair& pair) { return pair.first == name; });
  return it == table + N ? std::string_view() : it->second;
}

bool is_distil(std::string_view type) { return type == "distilbert"; }

class Reader {
 public:
  Reader(const json::object& config, const std::string& path, ModelFile* file) : config_(config), path_(path), file_(file) {}

  Result<void> count(const char* hub, const char* gguf, int64_t least, int64_t most) {
    const auto value = get_int(config_, hub);
    if (!value) return fail(Code::LoadFailed, "{}: '{}' is missing", path_, hub);
    if (*value < least || *value > most) return fail(Code::LoadFailed, "{}: '{}' is {}, must be {} to {}", path_, hub, *value, least, most);
    file_->meta.insert_or_assign(gguf, *value);
    return {};
  }

 private:
  const json::object& config_;
  const std::string& path_;
  ModelFile* file_;
};

Result<std::string> activation_of(const json::object& config, const char* key, const std::string& path) {
  const std::string name = get_string(config, key).value_or("gelu");
  if (name == "gelu" || name == "relu") return name;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return std::string("gelu_tanh");
  return fail(Code::LoadFailed, "{}: '{}' is \"{}\", known are gelu, gelu_new and relu", path, key, name.substr(0, 64));
}

Result<void> read_labels(const json::object& config, const std::string& path, ModelFile* file) {
  const json::array* classes = get_array(config, "architectures");
  const bool classifier = classes && !classes->empty() && classes->front().is_string() &&
                          std::string_view(classes->front().get_string()).ends_with("ForSequenceClassification");
  if (!classifier) return {};
  std::vector<std::string> labels;
  if (const json::object* names = get_object(config, "id2label")) {
    for (size_t i = 0; i < names->size(); ++i) {
      const auto label = get_string(*names, std::to_string(i));
      if (!label) return fail(Code::LoadFailed, "{}: 'id2label' has no \"{}\"", path, i);
      labels.push_back(*label);
    }
  }
  // The hub's default where nothing is said.
  if (labels.empty())
    for (int64_t i = 0; i < std::clamp<int64_t>(get_int(config, "num_labels").value_or(2), 1, limits::kClasses); ++i) labels.push_back(fmt::format("LABEL_{}", i));
  if (labels.size() > static_cast<size_t>(limits::kClasses)) return fail(Code::LoadFailed, "{}: {} labels, limit {}", path, labels.size(), limits::kClasses);
  file->meta.insert_or_assign("classifier.classes", static_cast<int64_t>(labels.size()));
  file->meta.insert_or_assign("classifier.output_labels", std::move(labels));
  return {};
}

}  // namespace

bool is_bert_config(const json::object& config) {
  const std::string type = get_string(config, "model_type").value_or("");
  for (const char* known : {"bert", "roberta", "xlm-roberta", "camembert", "distilbert"})
    if (type == known) return true;
  return false;
}

Result<void> translate_bert_config(const json::object& config, const std::string& path, ModelFile* file) {
  const std::string type = get_string(config, "model_type").value_or("");
  const bool distil = is_distil(type), roberta = !distil && type != "bert";
  file->architecture = type;
  file->meta.insert_or_assign("general.architecture", type);
  if (auto name = get_string(config, "_name_or_path"); name && !name->empty()) file->meta.insert_or_assign("general.name", *name);
  Reader in(config, path, file);
  VERGE_TRY(in.count("vocab_size", "vocab_size", 1, static_cast<int64_t>(limits::kVocabulary)));
  VERGE_TRY(in.count(distil ? "n_layers" : "num_hidden_layers", "block_count", 1, limits::kLayers));
  VERGE_TRY(in.count(distil ? "dim" : "hidden_size", "embedding_length", 1, limits::kModelWidth));
  VERGE_TRY(in.count(distil ? "hidden_dim" : "intermediate_size", "feed_forward_length", 1, limits::kModelWidth));
  VERGE_TRY(in.count(distil ? "n_heads" : "num_attention_heads", "attention.head_count", 1, limits::kHeads));
  VERGE_TRY(in.count("max_position_embeddings", "context_length", 1, limits::kContextTokens));
  const auto positions = get_string(config, "position_embedding_type");
  if (positions && *positions != "absolute") return fail(Code::LoadFailed, "{}: 'position_embedding_type' is \"{}\", known is absolute", path, positions->substr(0, 64));
  // Positions count from padding_idx + 1; pad_token_id is 1 wherever the vocabulary is RoBERTa's.
  const int64_t offset = roberta ? get_int(config, "pad_token_id").value_or(1) + 1 : 0;
  const int64_t context = *file->integer("context_length") - offset;
  if (offset < 0 || context < 1) return fail(Code::LoadFailed, "{}: 'pad_token_id' leaves no positions", path);
  file->meta.insert_or_assign("position_offset", offset);
  file->meta.insert_or_assign("context_length", context);
  const int64_t types = distil ? 0 : get_int(config, "type_vocab_size").value_or(roberta ? 1 : 2);
  if (types < 0 || types > 1024) return fail(Code::LoadFailed, "{}: 'type_vocab_size' is {}", path, types);
  file->meta.insert_or_assign("token_type_count", types);
  file->meta.insert_or_assign("attention.layer_norm_epsilon", get_number(config, "layer_norm_eps").value_or(1e-12));
  VERGE_ASSIGN(activation, activation_of(config, distil ? "activation" : "hidden_act", path));
  file->meta.insert_or_assign("activation", std::move(activation));
  file->meta.insert_or_assign("classifier.activation", std::string(distil ? "relu" : "tanh"));
  return read_labels(config, path, file);
}

std::optional<std::string> bert_tensor_name(std::string_view hub_name, const ModelFile& file) {
  const std::string_view type = file.architecture;
  // Masked-language heads and position counters come along in checkpoints of the base models.
  for (std::string_view unused : {"position_ids", "token_type_ids"})
    if (hub_name.ends_with(unused)) return "";
  for (std::string_view unused : {"cls.predictions.", "cls.seq_relationship.", "lm_head.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector."})
    if (hub_name.starts_with(unused)) return "";
  std::string_view name = hub_name;
  for (std::string_view prefix : {"bert.", "roberta.", "distilbert."})
    if (name.starts_with(prefix)) {
      name.remove_prefix(prefix.size());
      break;
    }
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return std::nullopt;
  std::string suffix(name.substr(dot));
  // Checkpoints from TensorFlow days: LayerNorm.gamma, LayerNorm.beta.
  if (suffix == ".gamma") suffix = ".weight";
  if (suffix == ".beta") suffix = ".bias";
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  const std::string_view part = name.substr(0, dot);
  if (const std::string_view outside = find(kOutside, part); !outside.empty()) return std::string(outside) + suffix;
  if (const std::string_view head = find(kHeads, part); !head.empty()) {
    if (!file.integer("classifier.classes")) return "";  // an embedder's pooler is not used
    return std::string(head) + suffix;
  }
  const bool distil = is_distil(type);
  const std::string_view prefix = distil ? "transformer.layer." : "encoder.layer.";
  if (!part.starts_with(prefix)) return std::nullopt;
  const std::string_view rest = part.substr(prefix.size());
  const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  if (digits == 0 || digits > 4 || digits == rest.size() || rest[digits] != '.') return std::nullopt;
  const std::string_view inside = distil ? find(kDistilLayer, rest.substr(digits + 1)) : find(kLayer, rest.substr(digits + 1));
  if (inside.empty()) return std::nullopt;
  return "blk." + std::string(rest.substr(0, digits)) + "." + std::string(inside) + suffix;
}

Result<> read_bert_hub(ModelFile* file) {
  const json::object config = std::move(file->config);
  VERGE_TRY(translate_bert_config(config, file->path + "/config.json", file));
  VERGE_TRY(place_hub_tensors(*file, [file](std::string_view name) { return bert_tensor_name(name, *file); }));
  // The hub's position table of RoBERTa holds `position_offset` rows for padding first.
  const int64_t offset = file->integer("position_offset").value_or(0);
  const auto table = file->tensors.find("position_embd.weight");
  if (offset == 0 || table == file->tensors.end() || table->second.rank != 2 || table->second.shape[0] <= offset) return {};
  TensorView& view = table->second;
  const size_t row = view.bytes / static_cast<size_t>(view.shape[0]);
  view.shape[0] -= offset;
  view.data += row * static_cast<size_t>(offset);
  view.bytes -= row * static_cast<size_t>(offset);
  return {};
}

}  // namespace verge::engine
