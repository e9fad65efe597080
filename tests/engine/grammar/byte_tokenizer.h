// A tokenizer for tests: every byte is a token, and so are some longer texts; id 0 ends an answer.
#pragma once

#include <string>
#include <vector>

#include "engine/tokenizers/tokenizer.h"

namespace verge::testing {

class ByteTokenizer : public engine::Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<std::string> longer = {}) : pieces_{""} {
    for (int b = 0; b < 256; ++b) pieces_.emplace_back(1, static_cast<char>(b));
    pieces_.insert(pieces_.end(), longer.begin(), longer.end());
  }
  std::vector<int32_t> encode(std::string_view text, const engine::EncodeOptions&) const override {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < text.size();) {  // the longest token first
      int32_t best = static_cast<unsigned char>(text[i]) + 1;
      for (size_t id = 257; id < pieces_.size(); ++id)
        if (text.substr(i).starts_with(pieces_[id]) && pieces_[id].size() > pieces_[static_cast<size_t>(best)].size()) best = static_cast<int32_t>(id);
      ids.push_back(best);
      i += pieces_[static_cast<size_t>(best)].size();
    }
    return ids;
  }
  std::string piece(int32_t id, bool) const override { return pieces_[static_cast<size_t>(id)]; }
  std::string decode(const std::vector<int32_t>& ids, bool) const override {
    std::string out;
    for (int32_t id : ids) out += pieces_[static_cast<size_t>(id)];
    return out;
  }
  int32_t vocabulary() const override { return static_cast<int32_t>(pieces_.size()); }
  size_t least_tokens(std::string_view) const override { return 0; }
  int32_t bos() const override { return -1; }
  int32_t eos() const override { return 0; }
  bool adds_bos() const override { return false; }
  int32_t find(std::string_view) const override { return -1; }
  bool is_control(int32_t id) const override { return id == 0; }

 private:
  std::vector<std::string> pieces_;
};

}  // namespace verge::testing
