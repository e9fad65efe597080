// An encoder as the worker sees it: token ids in, one vector a token out, all of a text at once. Decoders serve as encoders
// too, for embedding models made of them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/formats/model_file.h"
#include "engine/model.h"
#include "engine/projection.h"
#include "engine/tokenizers/tokenizer.h"
#include "support/error.h"

namespace verge::engine {

struct EncoderInfo {
  std::string architecture;  // "bert", "xlm-roberta", …
  int layers = 0;
  int64_t width = 0, vocabulary = 0;
  int context_tokens = 0;    // positions there are
  int classes = 0;           // of the classification head; 0 = none
  bool causal = false;       // a row has seen those up to itself only
  int64_t parameters = 0;
  size_t weight_bytes = 0;
};

struct EncoderText {
  std::span<const int32_t> tokens;  // >= 1, at most context_tokens
  int first_segment = 0;            // tokens of segment 0, the rest are of segment 1; 0 = all are of segment 0
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual const EncoderInfo& info() const = 0;
  // hidden: {sum of tokens, width}, the texts' rows behind each other. A text's rows have the same bits whatever
  // other texts are in the call. From one thread at a time, as classify().
  virtual void encode(std::span<const EncoderText> texts, float* hidden) = 0;
  // The head's scores {texts, classes} from what encode() gave for the same texts; only where info().classes > 0.
  virtual void classify(std::span<const EncoderText> texts, const float* hidden, float* scores) = 0;
};

enum class Pooling { Mean = 1, Cls = 2, Last = 3 };  // GGUF's numbers
// One vector from a text's rows {tokens, width}; `normalize`: of length 1.
void pool(const float* rows, int tokens, int64_t width, Pooling pooling, bool normalize, float* out);

struct LoadedEncoder {
  std::shared_ptr<ModelFile> file;  // kept: embedding tables are read from the map
  std::unique_ptr<Encoder> model;
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<int32_t> prefix, suffix;  // what stands around a text: [CLS] and [SEP]
  std::vector<int32_t> between;         // what stands between the two texts of a pair
  int max_tokens = 0;                   // of a text, prefix and suffix included
  Pooling pooling = Pooling::Mean;
  bool normalize = true;
  Projection projection;                // behind the pooling; its width is that of the embeddings
  std::vector<std::string> labels;      // of the classes

  struct Tokens {
    std::vector<int32_t> ids;
    int first_segment = 0;
    int64_t whole = 0;  // more than ids where the text was cut; it was not read much further than that
    bool truncated() const { return whole > static_cast<int64_t>(ids.size()); }
  };
  // A text with all around it, cut to max_tokens.
  Tokens tokens_of(std::string_view text) const;
  // A pair, for rerankers: of a pair that is too long, the longer text loses its end ("longest_first").
  Tokens tokens_of(std::span<const int32_t> first, std::string_view second) const;
  std::vector<int32_t> first_of_pairs(std::string_view text) const;  // ids of a text that stands first in many pairs
};

// Opens, checks, packs. Errors: LoadFailed naming the file and the tensor or key, Io.
Result<LoadedEncoder> load_encoder(const std::string& path, Backend& backend, const LoadOptions& options);

}  // namespace verge::engine
