#include "engine/tokenizers/trie.h"

#include <utility>

namespace verge::engine {

void Trie::place(const Edge& edge) {
  size_t mask = edges_.size() - 1, at = spread(edge.key) & mask;
  while (edges_[at].child >= 0) at = (at + 1) & mask;
  edges_[at] = edge;
}

void Trie::resize(size_t slots) {
  std::vector<Edge> old = std::exchange(edges_, std::vector<Edge>(slots));
  for (const Edge& edge : old) {
    if (edge.child >= 0) place(edge);
  }
}

void Trie::reserve(size_t edges) {
  size_t slots = 64;
  while (slots < edges * 2) slots *= 2;
  if (slots > edges_.size()) resize(slots);
  values_.reserve(edges + 1);
}

void Trie::insert(std::string_view text, int32_t value) {
  if (text.empty()) return;
  int32_t node = 0;
  for (char c : text) {
    auto byte = static_cast<uint8_t>(c);
    int32_t child = next(node, byte);
    if (child < 0) {
      child = static_cast<int32_t>(values_.size());
      values_.push_back(-1);
      if (node == 0) {
        root_[byte] = child;
      } else {
        if ((used_ + 1) * 2 > edges_.size()) resize(edges_.empty() ? 64 : edges_.size() * 2);
        place({edge_key(node, byte), child});
        ++used_;
      }
    }
    node = child;
  }
  if (values_[node] < 0) values_[node] = value;
}

}  // namespace verge::engine
