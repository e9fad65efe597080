#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace verge::engine {

// Pages of the decoder's cache, shared by hypotheses with the same past.
class HypothesisPages {
 public:
  explicit HypothesisPages(int pages);
  // A table that covers `tokens` tokens. The pool has them: whoever starts searches counts with search_pages() (models/whisper/whisper.h).
  std::vector<int32_t> make(int tokens);
  void release(std::vector<int32_t>* table);
  // Extends the table to cover `tokens` tokens.
  void grow(std::vector<int32_t>* table, int tokens);
  // Another table with the same first `tokens` tokens: whole pages are shared, the last one is copied ({from, to} goes to `copies`).
  std::vector<int32_t> fork(const std::vector<int32_t>& table, int tokens, std::vector<std::pair<int32_t, int32_t>>* copies);
  int free() const { return static_cast<int>(free_.size()); }

 private:
  int32_t take();
  std::vector<int32_t> free_;
  std::vector<int> users_;
};

}  // namespace verge::engine
