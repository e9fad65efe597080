#include "engine/speech/recognizer.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "engine/host_threads.h"
#include "engine/speech/mel.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

// Rows of logits that are asked for at once when a whole text is gone through.
constexpr int kAlignRows = 64;

// The file's list; without one all heads of the upper half of the layers, as openai/whisper has it.
Result<std::vector<AttentionHead>> read_alignment_heads(const ModelFile& file, const WhisperInfo& info) {
  std::vector<AttentionHead> heads;
  const auto it = file.meta.find("alignment_heads");
  if (const auto* list = it == file.meta.end() ? nullptr : std::get_if<std::vector<int64_t>>(&it->second); list && !list->empty()) {
    for (size_t i = 0; i + 1 < list->size(); i += 2) {
      const int64_t layer = (*list)[i], head = (*list)[i + 1];
      if (layer < 0 || layer >= info.decoder_layers || head < 0 || head >= info.decoder_heads) {
        return fail(Code::LoadFailed, "{}: 'alignment_heads' names head {} of layer {}", file.path, head, layer);
      }
      heads.push_back({static_cast<int>(layer), static_cast<int>(head)});
    }
    return heads;
  }
  for (int layer = info.decoder_layers / 2; layer < info.decoder_layers; ++layer) {
    for (int head = 0; head < info.decoder_heads; ++head) heads.push_back({layer, head});
  }
  return heads;
}

}  // namespace

Result<std::unique_ptr<Recognizer>> Recognizer::open(std::shared_ptr<ModelFile> file, Backend& backend, const LoadOptions& options, KvType kv_type) {
  std::unique_ptr<Recognizer> r(new Recognizer);
  VERGE_ASSIGN(model, load_whisper(file, backend, options));
  r->model_ = std::move(model);
  const WhisperInfo& info = r->model_->info();
  VERGE_ASSIGN(tokenizer, WhisperTokenizer::make(*file, info.vocabulary));
  r->tokenizer_ = std::make_unique<WhisperTokenizer>(std::move(tokenizer));
  VERGE_ASSIGN(heads, read_alignment_heads(*file, info));
  r->heads_ = std::move(heads);
  r->filters_ = mel_filters(info.mels);
  r->room_ = speech_room(info);
  VERGE_ASSIGN(cache, r->model_->make_kv_cache(r->room_.pages, kv_type));
  r->cache_ = std::move(cache);
  r->pages_ = std::make_unique<HypothesisPages>(r->room_.pages);
  return r;
}

void Recognizer::step(std::span<Decoding* const> decodings) {
  const auto vocabulary = static_cast<size_t>(tokenizer_->vocabulary);
  struct Row {
    Decoding* decoding;
    int row;
    float* logits;
  };
  std::vector<Row> considered;
  size_t wanted = 0;
  for (const Decoding* decoding : decodings) wanted += static_cast<size_t>(decoding->logits());
  logits_.resize(std::max(logits_.size(), wanted * vocabulary));
  rows_.clear();
  copies_.clear();
  float* logits = logits_.data();
  for (Decoding* decoding : decodings) {
    for (int row = 0; row < decoding->considered(); ++row) considered.push_back({decoding, row, logits});
    logits += static_cast<size_t>(decoding->logits()) * vocabulary;
    decoding->append(&rows_, &copies_);
  }
  model_->backend().copy_pages(*cache_, copies_);
  model_->decode(rows_, *cache_, logits_.data());
  for_each(static_cast<int>(considered.size()), [&](int i) {
    const Row& row = considered[static_cast<size_t>(i)];
    row.decoding->consider(row.row, row.logits);
  });
  for (Decoding* decoding : decodings) decoding->choose();
}

void Recognizer::for_each(int count, const std::function<void(int)>& body) {
  auto* threads = dynamic_cast<HostThreads*>(&model_->backend());
  if (threads && count > 1) return threads->for_each(count, body);
  for (int i = 0; i < count; ++i) body(i);
}

std::vector<std::pair<std::string, double>> Recognizer::detect_language(const EncodedAudio& audio) {
  logits_.resize(std::max(logits_.size(), static_cast<size_t>(tokenizer_->vocabulary)));
  auto table = pages_->make(1);
  const int32_t start[] = {tokenizer_->start}, first[] = {0};
  run({start, 0, table, &audio, first}, logits_.data());
  pages_->release(&table);
  std::vector<float> scores;
  for (const auto& language : tokenizer_->languages()) scores.push_back(logits_[static_cast<size_t>(language.token)]);
  std::vector<std::pair<std::string, double>> found;
  for (size_t i = 0; i < scores.size(); ++i) found.emplace_back(tokenizer_->languages()[i].code, probability_of(scores, static_cast<int32_t>(i)));
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return found;
}

void Recognizer::align(const EncodedAudio& audio, std::span<const int32_t> tokens, std::vector<float>* scores, std::vector<float>* probabilities) {
  const auto vocabulary = static_cast<size_t>(tokenizer_->vocabulary);
  const auto count = static_cast<int>(tokens.size());
  const auto frames = static_cast<size_t>(audio.layers.front()->rows), heads = heads_.size();
  logits_.resize(std::max(logits_.size(), static_cast<size_t>(kAlignRows) * vocabulary));
  scores->assign(heads * tokens.size() * frames, 0);
  probabilities->assign(tokens.size(), 0);
  auto table = pages_->make(count);
  std::vector<float> part;
  for (int begin = 0; begin < count; begin += kAlignRows) {
    const int rows = std::min(kAlignRows, count - begin);
    std::vector<int32_t> wanted(static_cast<size_t>(rows));
    for (int i = 0; i < rows; ++i) wanted[static_cast<size_t>(i)] = i;
    model_->decode_with_scores({tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)), begin, table, &audio, wanted}, *cache_, heads_,
                               logits_.data(), &part);
    const size_t block = static_cast<size_t>(rows) * frames;
    for (size_t h = 0; h < heads; ++h) {
      std::copy_n(part.begin() + static_cast<std::ptrdiff_t>(h * block), block,
                  scores->begin() + static_cast<std::ptrdiff_t>((h * tokens.size() + static_cast<size_t>(begin)) * frames));
    }
    for_each(std::min(rows, count - begin - 1), [&](int i) {
      const int32_t next = tokens[static_cast<size_t>(begin + i + 1)];
      if (next >= tokenizer_->end) return;
      (*probabilities)[static_cast<size_t>(begin + i + 1)] =
          static_cast<float>(probability_of({logits_.data() + static_cast<size_t>(i) * vocabulary, static_cast<size_t>(tokenizer_->end)}, next));
    });
  }
  pages_->release(&table);
}

}  // namespace verge::engine
