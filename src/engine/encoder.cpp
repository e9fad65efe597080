#include "engine/encoder.h"

#include <algorithm>

#include "engine/models/bert/bert.h"
#include "engine/models/open.h"
#include "engine/models/table.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

// "[SEP]" in somebody's text is text.
constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};

constexpr EncodeOptions at_most(size_t tokens) {
  return {.add_special = false, .parse_special = false, .most_tokens = tokens};
}

// Ids around a text, found by what encoding one with and without them gives.
Result<void> find_surroundings(LoadedEncoder* encoder, const std::string& path) {
  const std::vector<int32_t> plain = encoder->tokenizer->encode("a", kPlain);
  const std::vector<int32_t> whole =
      encoder->tokenizer->encode("a", {.add_special = true, .parse_special = false});
  const auto at = std::search(whole.begin(), whole.end(), plain.begin(), plain.end());
  if (plain.empty() || at == whole.end()) return fail(Code::LoadFailed, "{}: the tokenizer puts no ids around a text that could be told apart", path);
  encoder->prefix.assign(whole.begin(), at);
  encoder->suffix.assign(at + static_cast<ptrdiff_t>(plain.size()), whole.end());
  encoder->between = encoder->suffix;
  // RoBERTa: <s> A </s></s> B </s>
  if (encoder->file->architecture.ends_with("roberta") || encoder->file->architecture == "camembert")
    encoder->between.insert(encoder->between.end(), encoder->suffix.begin(), encoder->suffix.end());
  return {};
}

Result<std::unique_ptr<Encoder>> load_layers(const std::shared_ptr<ModelFile>& file, Backend& backend, const LoadOptions& options) {
  if (is_bert(*file)) return load_bert(file, backend, options);
  auto architecture = find_architecture(*file);
  if (!architecture) return fail(Code::LoadFailed, "{}, bert, roberta, xlm-roberta, camembert, distilbert", architecture.error().message);
  return (*architecture)->load_encoder(file, backend, options);
}

}  // namespace

LoadedEncoder::Tokens LoadedEncoder::tokens_of(std::string_view text) const {
  const size_t room = static_cast<size_t>(max_tokens) - prefix.size() - suffix.size();
  const std::vector<int32_t> plain = tokenizer->encode(text, at_most(room));
  const size_t kept = std::min(room, plain.size());
  Tokens out;
  out.ids = prefix;
  out.ids.insert(out.ids.end(), plain.begin(), plain.begin() + static_cast<ptrdiff_t>(kept));
  out.ids.insert(out.ids.end(), suffix.begin(), suffix.end());
  out.whole = static_cast<int64_t>(prefix.size() + plain.size() + suffix.size());
  return out;
}

std::vector<int32_t> LoadedEncoder::first_of_pairs(std::string_view text) const { return tokenizer->encode(text, kPlain); }

LoadedEncoder::Tokens LoadedEncoder::tokens_of(std::span<const int32_t> first, std::string_view second) const {
  const size_t around = prefix.size() + between.size() + suffix.size(), room = static_cast<size_t>(max_tokens) - around;
  // Which is the longer must be known, so the second may become longer than there is room, until it is the longer.
  std::vector<int32_t> b = tokenizer->encode(second, at_most(std::max(room, first.size())));
  Tokens out;
  out.whole = static_cast<int64_t>(around + first.size() + b.size());
  // As Hugging Face's tokenizers cut: the longer gives way until both are as long; an odd token is the longer's.
  if (first.size() + b.size() > room) {
    const bool first_longer = first.size() > b.size();
    const size_t least = std::min({first.size(), b.size(), room / 2}), most = room - least;
    first = first.first(first_longer ? most : least);
    b.resize(first_longer ? least : most);
  }
  out.ids = prefix;
  out.ids.insert(out.ids.end(), first.begin(), first.end());
  out.ids.insert(out.ids.end(), between.begin(), between.end());
  out.first_segment = static_cast<int>(out.ids.size());
  out.ids.insert(out.ids.end(), b.begin(), b.end());
  out.ids.insert(out.ids.end(), suffix.begin(), suffix.end());
  return out;
}

Result<LoadedEncoder> load_encoder(const std::string& path, Backend& backend, const LoadOptions& options) {
  LoadedEncoder loaded;
  VERGE_ASSIGN(file, open_model_file(path));
  loaded.file = std::move(file);
  auto tokenizer = make_tokenizer(*loaded.file);
  if (!tokenizer) return fail(Code::LoadFailed, "{}: {}", path, tokenizer.error().message);
  loaded.tokenizer = std::move(*tokenizer);
  VERGE_TRY(find_surroundings(&loaded, path));
  const int64_t hidden = loaded.file->integer("embedding_length").value_or(0);
  VERGE_ASSIGN(projection, Projection::take(*loaded.file, backend, hidden, options));
  loaded.projection = std::move(projection);
  VERGE_ASSIGN(model, load_layers(loaded.file, backend, options));
  loaded.model = std::move(model);
  const EncoderInfo& info = loaded.model->info();
  if (loaded.tokenizer->vocabulary() > info.vocabulary)
    return fail(Code::LoadFailed, "{}: the tokenizer has {} tokens, the model {}", path, loaded.tokenizer->vocabulary(), info.vocabulary);
  const int64_t longest = loaded.file->integer("max_sequence_length").value_or(info.context_tokens);
  loaded.max_tokens = static_cast<int>(std::clamp<int64_t>(longest, 1, std::min(info.context_tokens, limits::kEncoderTextTokens)));
  if (static_cast<size_t>(loaded.max_tokens) <= loaded.prefix.size() + loaded.between.size() + loaded.suffix.size())
    return fail(Code::LoadFailed, "{}: {} tokens leave no room for a text", path, loaded.max_tokens);
  // What files leave unsaid: a causal model has seen the whole text at its last token only.
  int64_t pooling = loaded.file->integer("pooling_type").value_or(0);
  if (pooling == 0) pooling = info.causal ? 3 : 1;
  if (pooling < 1 || pooling > 3) return fail(Code::LoadFailed, "{}: 'pooling_type' {} is not supported: mean (1), cls (2) and last (3) are", path, pooling);
  if (pooling == 2) loaded.pooling = Pooling::Cls;
  if (pooling == 3) loaded.pooling = Pooling::Last;
  loaded.normalize = loaded.file->boolean("pooling.normalize").value_or(true);
  if (const auto* labels = loaded.file->array<std::string>("classifier.output_labels")) loaded.labels = *labels;
  while (loaded.labels.size() < static_cast<size_t>(info.classes)) loaded.labels.push_back(fmt::format("LABEL_{}", loaded.labels.size()));
  return loaded;
}

}  // namespace verge::engine
