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

// A window of sound on its way through the encoder.
struct EncoderWindow {
  const float* mel = nullptr;  // {frames, mels}
  int frames = 0;              // even, at most 2 * audio_positions
  EncodedAudio* to = nullptr;  // filled anew, its memory kept
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
  // Several windows as one batch. Errors: LoadFailed where memory is short.
  virtual Result<> encode(std::span<const EncoderWindow> windows) = 0;
  // {frames / 2, width} of all windows of the last encode(), one behind the other. For tests.
  virtual std::span<const float> encoder_output() const = 0;
  // One step over all sequences (sum of tokens <= limits::kBatchTokens). `logits` gets a row of the vocabulary for each token that
  // wants them, in order.
  virtual void decode(std::span<const DecodeRows> step, KvCache& cache, float* logits) = 0;
  // The same, for one sequence from position 0, with the cross-attention's scores before the softmax of `heads`
  // {heads, tokens, audio rows}.
  virtual void decode_with_scores(const DecodeRows& rows, KvCache& cache, std::span<const AttentionHead> heads, float* logits, std::vector<float>* scores) = 0;
};

// How much runs side by side, within limits::kSpeechMemoryBytes of the windows' memories and activations.
struct SpeechRoom {
  int windows = 1;         // in the decoder at once, each with its memories
  int encoder_windows = 1; // in one batch of the encoder
  int pages = 0;           // of the decoder's cache
};
SpeechRoom speech_room(const WhisperInfo& info);
// Pages that a search needs at most: its hypotheses share the whole pages of their prompt, have pages of their own for what they
// add, and while they change places each may hold one more.
int search_pages(const WhisperInfo& info, int hypotheses);

Result<std::unique_ptr<Whisper>> load_whisper(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options);

// As Architecture::need.
Result<ModelNeed> whisper_need(const ModelFile& file, const Backend& backend, Precision precision);

}  // namespace verge::engine
