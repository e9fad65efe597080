// A model on disk, whatever its format: one configuration, named tensors, tokenizer material.
// Once its family has read it (models/open.h), names and configuration keys are GGUF's ("blk.0.attn_q.weight",
// "block_count"). Tensors are llama.cpp's: token_embd, output_norm, output (absent where tied), rope_freqs (divisors of the
// rotary frequencies, Llama 3's scaling), rope_factors_short and rope_factors_long (LongRoPE's), blk.N.{attn_norm, attn_q,
// attn_k, attn_v, attn_output, attn_q_norm, attn_k_norm, ffn_norm, ffn_gate, ffn_up, ffn_down, post_attention_norm,
// post_ffw_norm}, each with ".weight", some with ".bias". Norm weights are the factors themselves (Gemma's "1 +" is in
// them). The configuration keys of decoders are listed in models/decoder/hub.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/tensor.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::engine {

// A metadata value. Integers of every width are int64 (uint64 above INT64_MAX is refused);
// arrays hold one type.
using MetaValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;

class MappedFile;  // read-only mmap, formats/mapped_file.h

struct ModelFile {
  std::string path;
  std::string format;                          // "gguf", "hub"
  std::string architecture;                    // "llama", "qwen2", "qwen3", "gemma3", …
  std::map<std::string, MetaValue, std::less<>> meta;   // keys without the architecture's prefix: "block_count",
                                               // "attention.head_count", "rope.freq_base", "tokenizer.ggml.model", "general.name" …
  std::map<std::string, TensorView, std::less<>> tensors;
  std::string chat_template;                   // Jinja source, may be empty
  std::string tokenizer_json;                  // hub layout: the file's text; empty for GGUF
  std::string tokenizer_model;                 // hub layout: SentencePiece protobuf bytes, where there is no tokenizer.json
  std::string tokenizer_config;                // hub layout: tokenizer_config.json
  std::vector<int32_t> stop_ids;               // eos, eot and what generation_config.json adds
  std::vector<std::shared_ptr<MappedFile>> maps;  // keep the views alive
  // A folder in the hub's layout, until its family has read it: config.json, and the weights under the hub's names.
  json::object config;
  std::map<std::string, TensorView, std::less<>> hub_tensors;

  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;      // reads integers too
  std::optional<std::string> text(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  template <class T>
  const std::vector<T>* array(std::string_view key) const {
    auto it = meta.find(key);
    return it == meta.end() ? nullptr : std::get_if<std::vector<T>>(&it->second);
  }
};

// Opens a GGUF file (split files too), a folder / config.json in the hub's layout (safetensors, sharded too), or one of
// Whisper's formats, as it is stored. Every offset, size and count is checked against the file's length before use; errors
// name the file and what is wrong with it. Format told from content, not from the name. Models are opened by
// models/open.h's open_model_file().
Result<std::shared_ptr<ModelFile>> open_container(const std::string& path);

}  // namespace verge::engine
