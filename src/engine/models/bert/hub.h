// BERT and its kin (BERT, RoBERTa, XLM-R, DistilBERT) in the hub's layout -> GGUF's naming.
//
// Tensors: token_embd, position_embd (without RoBERTa's two leading rows), token_types, token_embd_norm,
// blk.N.{attn_q, attn_k, attn_v, attn_output, attn_output_norm, ffn_up, ffn_down, layer_output_norm}, each with
// weight and bias; of classifiers cls (the dense layer before, may be absent) and cls.output.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/formats/model_file.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

bool is_bert_config(const json::object& config);

// Fills file->architecture ("bert", "roberta", "xlm-roberta", "distilbert", …) and file->meta:
//   general.architecture, vocab_size, block_count, context_length (positions that a text may have), embedding_length,
//   feed_forward_length, attention.head_count, attention.layer_norm_epsilon, activation "gelu" | "gelu_tanh" | "relu",
//   position_offset    rows of the hub's position table before the first position (RoBERTa: 2)
//   token_type_count   rows of token_types; 0 = none
//   classifier.classes and classifier.output_labels, of a class ForSequenceClassification
//   classifier.activation "tanh" | "relu", of the dense layer before
// The folder's tensors get their names, RoBERTa's position table loses its leading rows. Errors: LoadFailed naming file
// and key or tensor.
Result<> read_bert_hub(ModelFile* file);

// Of these, configuration and names alone:
Result<void> translate_bert_config(const json::object& config, const std::string& path, ModelFile* file);
// GGUF's name; "" = not used; nullopt = not known.
std::optional<std::string> bert_tensor_name(std::string_view hub_name, const ModelFile& file);

}  // namespace verge::engine
