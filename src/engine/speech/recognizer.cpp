#include "engine/speech/recognizer.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "engine/host_threads.h"
#include "engine/speech/mel.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr int kPageTokens = limits::kPageTokens;
int pages_for(int tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

// Rows of logits that are asked for at once when a whole text is gone through.
constexpr int kAlignRows = 64;

double probability_of(std::span<const float> logits, int32_t token) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(x - top);
  return std::exp(logits[static_cast<size_t>(token)] - top) / sum;
}

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

HypothesisPages::HypothesisPages(int pages) : users_(static_cast<size_t>(pages)) {
  for (int32_t page = pages - 1; page >= 0; --page) free_.push_back(page);
}

int32_t HypothesisPages::take() {
  assert(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  users_[static_cast<size_t>(page)] = 1;
  return page;
}

std::vector<int32_t> HypothesisPages::make(int tokens) {
  std::vector<int32_t> table;
  grow(&table, tokens);
  return table;
}

void HypothesisPages::release(std::vector<int32_t>* table) {
  for (int32_t page : *table) {
    if (--users_[static_cast<size_t>(page)] == 0) free_.push_back(page);
  }
  table->clear();
}

void HypothesisPages::grow(std::vector<int32_t>* table, int tokens) {
  while (static_cast<int>(table->size()) < pages_for(tokens)) table->push_back(take());
}

std::vector<int32_t> HypothesisPages::fork(const std::vector<int32_t>& table, int tokens, std::vector<std::pair<int32_t, int32_t>>* copies) {
  const auto whole = static_cast<size_t>(tokens / kPageTokens);
  std::vector<int32_t> copy(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(whole));
  for (int32_t page : copy) ++users_[static_cast<size_t>(page)];
  if (tokens % kPageTokens != 0) {
    copy.push_back(take());
    copies->emplace_back(table[whole], copy.back());
  }
  return copy;
}

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
  // While hypotheses change places the old tables and the new ones are there together.
  const int pages = 2 * kHypotheses * pages_for(info.text_positions) + 2;
  VERGE_ASSIGN(cache, r->model_->make_kv_cache(pages, kv_type));
  r->cache_ = std::move(cache);
  r->pages_ = std::make_unique<HypothesisPages>(pages);
  return r;
}

Result<Recognizer::Decoded> Recognizer::decode(const EncodedAudio& audio, std::span<const int32_t> prompt, int start, const TokenRules& rules,
                                               const SearchOptions& options, const std::function<bool()>& stop) {
  const auto vocabulary = static_cast<size_t>(tokenizer_->vocabulary);
  logits_.resize(std::max<size_t>(2, static_cast<size_t>(std::max(options.beams, options.best_of))) * vocabulary);
  Decoded decoded;
  int length = static_cast<int>(prompt.size());
  std::vector<std::vector<int32_t>> tables = {pages_->make(length)};
  const int last = length - 1;
  std::vector<int32_t> wanted = {start};
  if (start != last) wanted.push_back(last);
  run({prompt, 0, tables[0], &audio, wanted}, logits_.data());
  if (tokenizer_->no_speech >= 0) decoded.no_speech_probability = probability_of({logits_.data(), vocabulary}, tokenizer_->no_speech);
  if (start != last) std::copy_n(logits_.begin() + static_cast<std::ptrdiff_t>(vocabulary), vocabulary, logits_.begin());

  auto* threads = dynamic_cast<HostThreads*>(&model_->backend());
  const auto for_each = [&](int count, const auto& body) {
    if (threads && count > 1) return threads->for_each(count, body);
    for (int i = 0; i < count; ++i) body(i);
  };
  Search search(rules, options);
  search.advance(logits_.data(), for_each);
  std::vector<DecodeRows> rows;
  std::vector<int32_t> tokens;
  std::vector<std::pair<int32_t, int32_t>> copies;
  const int32_t first[] = {0};
  bool stopped = false;
  while (!search.done() && !(stopped = stop && stop())) {
    // The first to go on from a row takes over its pages, others get copies.
    std::vector<std::vector<int32_t>> next;
    std::vector<int> heir(tables.size(), -1);
    copies.clear();
    for (const NextRow& row : search.next()) {
      const auto parent = static_cast<size_t>(row.parent);
      if (heir[parent] < 0) {
        heir[parent] = static_cast<int>(next.size());
        next.push_back(std::move(tables[parent]));
      } else {
        next.push_back(pages_->fork(next[static_cast<size_t>(heir[parent])], length, &copies));
      }
    }
    for (size_t i = 0; i < tables.size(); ++i) {
      if (heir[i] < 0) pages_->release(&tables[i]);
    }
    tables = std::move(next);
    model_->backend().copy_pages(*cache_, copies);
    ++length;
    rows.clear();
    tokens.clear();
    for (const NextRow& row : search.next()) tokens.push_back(row.token);
    for (size_t i = 0; i < tables.size(); ++i) {
      pages_->grow(&tables[i], length);
      rows.push_back({{&tokens[i], 1}, length - 1, tables[i], &audio, first});
    }
    model_->decode(rows, *cache_, logits_.data());
    search.advance(logits_.data(), for_each);
  }
  for (auto& table : tables) pages_->release(&table);
  if (stopped) return fail(Code::Aborted, "the client left");
  decoded.best = search.best();
  return decoded;
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
    for (int i = 0; i < rows && begin + i + 1 < count; ++i) {
      const int32_t next = tokens[static_cast<size_t>(begin + i + 1)];
      if (next >= tokenizer_->end) continue;
      (*probabilities)[static_cast<size_t>(begin + i + 1)] =
          static_cast<float>(probability_of({logits_.data() + static_cast<size_t>(i) * vocabulary, static_cast<size_t>(tokenizer_->end)}, next));
    }
  }
  pages_->release(&table);
}

}  // namespace verge::engine
