#include "engine/tokenizers/foreign_text.h"

#include <algorithm>

namespace verge::engine {

void ForeignText::mark(size_t begin, size_t end) {
  if (begin == end) return;
  if (!foreign.empty() && foreign.back().end == begin) foreign.back().end = end;
  else foreign.push_back({begin, end});
}

void ForeignText::append(std::string_view part, std::span<const TextRange> ranges, size_t offset) {
  const size_t at = text.size(), stop = offset + part.size();
  const auto ends_before = [](const TextRange& range, size_t byte) { return range.end <= byte; };
  for (auto it = std::lower_bound(ranges.begin(), ranges.end(), offset, ends_before);
       it != ranges.end() && it->begin < stop; ++it) {
    mark(at + std::max(it->begin, offset) - offset, at + std::min(it->end, stop) - offset);
  }
  text += part;
}

}  // namespace verge::engine
