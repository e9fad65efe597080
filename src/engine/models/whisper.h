// Whisper (Radford et al. 2022): an encoder over log-mel frames and a decoder over text tokens that attends to it.
// Tensors have the hub's names ("model.encoder.conv1.weight", …), whatever format they came from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/model_file.h"
#include "engine/model.h"
#include "engine/models/table.h"

namespace verge::engine {

struct WhisperInfo {
  int mels = 80;
  int audio_positions = 1500;  // of the encoder's output: two mel frames each
  int text_positions = 448;
  int encoder_layers = 0, decoder_layers = 0;
  int encoder_heads = 0, decoder_heads = 0;
  int64_t width = 0, encoder_ff = 0, decoder_ff = 0;
  int64_t vocabulary = 0;
  int64_t parameters = 0;
  size_t weight_bytes = 0;
};

// What the decoder sees of a clip: keys and values of every layer's cross-attention.
struct EncodedAudio {
  std::vector<std::unique_ptr<AttentionMemory>> layers;
};

// A head of the decoder's cross-attention.
struct AttentionHead {
  int layer = 0, head = 0;
};

// One sequence's tokens of a decoder step.
struct DecodeRows {
  std::span<const int32_t> tokens;   // >= 1
  int position = 0;                  // of tokens[0]; earlier ones are in the cache
  std::span<const int32_t> pages;    // covers position + tokens.size()
  const EncodedAudio* audio = nullptr;
  std::span<const int32_t> logits;   // indices into tokens, ascending, that want logits
};

class Whisper {
 public:
  virtual ~Whisper() = default;
  virtual const WhisperInfo& info() const = 0;
  virtual Backend& backend() = 0;
  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(int pages, KvType type) = 0;
  // `mel` {frames, mels}, frames even and at most 2 * audio_positions; `to` is filled anew, its memory kept.
  // Errors: LoadFailed where memory is short.
  virtual Result<> encode(const float* mel, int frames, EncodedAudio* to) = 0;
  // Where not null: {frames / 2, width}, the encoder's output of the last encode(). For tests.
  virtual std::span<const float> encoder_output() const = 0;
  // One step over all sequences (sum of tokens <= limits::kBatchTokens). `logits` gets a row of the vocabulary for each token that
  // wants them, in order.
  virtual void decode(std::span<const DecodeRows> step, KvCache& cache, float* logits) = 0;
  // The same, for one sequence from position 0, with the cross-attention's scores before the softmax of `heads`
  // {heads, tokens, audio rows}.
  virtual void decode_with_scores(const DecodeRows& rows, KvCache& cache, std::span<const AttentionHead> heads, float* logits, std::vector<float>* scores) = 0;
};

Result<std::unique_ptr<Whisper>> load_whisper(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options);
// From names and shapes alone: kv_per_token is that of the decoder's own cache, scratch includes one clip's memories.
Result<ModelNeed> whisper_need(const ModelFile& file, const Backend& backend, Precision precision);

}  // namespace verge::engine
