#include "engine/grammar/language.h"

#include <algorithm>
#include <deque>
#include <unordered_set>

#include "engine/grammar/bounds.h"

namespace verge::engine::grammar {
namespace {

uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ x) * 0x9E3779B97F4A7C15ull;
  return h ^ h >> 29;
}

uint32_t add_counts(uint32_t a, uint32_t b) { return a == kUnbounded || b == kUnbounded || a + b < a ? kUnbounded : a + b; }

constexpr char32_t kLastPoint = 0x10FFFF;

}  // namespace

Languages::Languages() : searches_left_(bounds::kSearches) {
  add({Kind::None});
  add({Kind::Empty, true});
  Lang any = chars({{0, 0xD7FF}, {0xE000, kLastPoint}});
  Lang all = repeat(any, 0, kUnbounded);
  (void)any, (void)all;  // 2 and 3 by their order
}

Lang Languages::add(Node node) {
  uint64_t h = mix(mix(mix(mix(static_cast<uint64_t>(node.kind), node.a), node.b), node.m), node.n);
  auto [from, to] = interned_.equal_range(h);
  for (; from != to; ++from) {
    if (nodes_[from->second].same(node)) return from->second;
  }
  const Lang id = static_cast<Lang>(nodes_.size());
  nodes_.push_back(node);
  live_.push_back(id == kNone ? 0 : node.searched && !node.nullable ? -1 : 1);
  interned_.emplace(h, id);
  if (nodes_.size() > bounds::kLanguageNodes) exceeded_ = true;
  return id;
}

uint32_t Languages::list(const std::vector<uint32_t>& items) {
  uint64_t h = items.size();
  for (uint32_t x : items) h = mix(h, x);
  auto [from, to] = list_ids_.equal_range(h);
  for (; from != to; ++from) {
    if (lists_[from->second] == items) return from->second;
  }
  lists_.push_back(items);
  list_ids_.emplace(h, static_cast<uint32_t>(lists_.size() - 1));
  return static_cast<uint32_t>(lists_.size() - 1);
}

Lang Languages::chars(std::vector<CharRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](auto& x, auto& y) { return x.low < y.low; });
  std::vector<uint32_t> flat;
  for (const CharRange& r : ranges) {
    if (r.low > r.high) continue;
    if (!flat.empty() && (r.low <= flat.back() || (r.low == flat.back() + 1 && r.low <= kLastPoint))) flat.back() = std::max<uint32_t>(flat.back(), r.high);
    else flat.insert(flat.end(), {static_cast<uint32_t>(r.low), static_cast<uint32_t>(r.high)});
  }
  if (flat.empty()) return kNone;
  return add({Kind::Chars, false, false, list(flat)});
}

Lang Languages::text(std::u32string_view text) {
  Lang out = kEmpty;
  for (size_t i = text.size(); i-- > 0;) out = concat(chars({{text[i], text[i]}}), out);
  return out;
}

Lang Languages::words(std::vector<std::u32string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  if (words.empty()) return kNone;
  if (words.size() == 1 && words[0].empty()) return kEmpty;
  uint32_t set = 0;
  while (set < word_sets_.size() && word_sets_[set] != words) ++set;  // few sets a grammar
  if (set == word_sets_.size()) word_sets_.push_back(std::move(words));
  return words_node(set, 0, static_cast<uint32_t>(word_sets_[set].size()), 0);
}

Lang Languages::words_node(uint32_t set, uint32_t low, uint32_t high, uint32_t depth) {
  if (low == high) return kNone;
  return add({Kind::Words, word_sets_[set][low].size() == depth, false, set, depth, low, high});
}

int32_t Languages::word(Lang a) const {
  const Node& n = nodes_[a];
  return n.kind == Kind::Words && n.nullable ? static_cast<int32_t>(n.m) : -1;
}

std::vector<std::u32string> Languages::word_list(Lang a) const {
  const Node& n = nodes_[a];
  std::vector<std::u32string> out;
  for (uint32_t i = n.m; i < n.n; ++i) out.push_back(word_sets_[n.a][i].substr(n.b));
  return out;
}

Lang Languages::concat(Lang a, Lang b) {
  if (a == kNone || b == kNone) return kNone;
  if (a == kEmpty) return b;
  if (b == kEmpty) return a;
  const Node x = nodes_[a], y = nodes_[b];
  if (x.kind == Kind::Concat) return concat(x.a, concat(x.b, b));
  if (x.kind == Kind::Repeat) {  // X{m,n} X{p,q} Z = X{m+p,n+q} Z
    const Lang head = y.kind == Kind::Concat ? y.a : b;
    const Node h = nodes_[head];
    if (h.kind == Kind::Repeat && h.a == x.a) {
      const Lang merged = repeat(x.a, add_counts(x.m, h.m), add_counts(x.n, h.n));
      return y.kind == Kind::Concat ? concat(merged, y.b) : merged;
    }
  }
  return add({Kind::Concat, x.nullable && y.nullable, x.searched || y.searched, a, b});
}

Lang Languages::either(std::vector<Lang> parts) {
  std::vector<Lang> flat;
  std::vector<CharRange> ranges;
  std::vector<std::u32string> words;
  size_t word_parts = 0;
  Lang only_words = kNone;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Node n = nodes_[parts[i]];
    if (parts[i] == kAll) return kAll;
    if (n.kind == Kind::None) continue;
    if (n.kind == Kind::Either) {
      parts.insert(parts.end(), lists_[n.a].begin(), lists_[n.a].end());
    } else if (n.kind == Kind::Chars) {
      const auto& l = lists_[n.a];
      for (size_t k = 0; k < l.size(); k += 2) ranges.push_back({l[k], l[k + 1]});
    } else if (n.kind == Kind::Words) {
      ++word_parts;
      only_words = parts[i];
      flat.push_back(parts[i]);
    } else {
      flat.push_back(parts[i]);
    }
    if (flat.size() + parts.size() > 4 * bounds::kUnion) return exceeded_ = true, kNone;
  }
  if (word_parts > 1) {  // one finite set
    std::erase_if(flat, [&](Lang a) {
      if (nodes_[a].kind != Kind::Words) return false;
      for (auto& w : word_list(a)) words.push_back(std::move(w));
      return true;
    });
    only_words = this->words(std::move(words));
    flat.push_back(only_words);
  }
  if (!ranges.empty()) flat.push_back(chars(std::move(ranges)));
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  // X{a,b} Y or X{c,d} Y where the counts touch: one counter, else nested counters would multiply.
  if (flat.size() > 1) {
    struct Counter {
      Lang base, tail;
      uint32_t m, n;
      Lang whole;
    };
    std::vector<Counter> counters;
    for (Lang a : flat) {
      const Node n = nodes_[a];
      const Node h = n.kind == Kind::Concat ? nodes_[n.a] : n;
      if (h.kind == Kind::Repeat) counters.push_back({h.a, n.kind == Kind::Concat ? n.b : kEmpty, h.m, h.n, a});
    }
    if (counters.size() > 1) {
      std::sort(counters.begin(), counters.end(), [](auto& x, auto& y) {
        return std::tie(x.base, x.tail, x.m, x.n) < std::tie(y.base, y.tail, y.m, y.n);
      });
      bool merged = false;
      std::vector<Lang> out, gone;
      for (size_t i = 0; i < counters.size();) {
        Counter c = counters[i];
        size_t k = i + 1;
        while (k < counters.size() && counters[k].base == c.base && counters[k].tail == c.tail &&
               counters[k].m <= add_counts(c.n, 1)) {
          c.n = std::max(c.n, counters[k].n);
          ++k;
        }
        if (k > i + 1) {
          merged = true;
          out.push_back(concat(repeat(c.base, c.m, c.n), c.tail));
          for (size_t j = i; j < k; ++j) gone.push_back(counters[j].whole);
        }
        i = k;
      }
      if (merged) {
        std::sort(gone.begin(), gone.end());
        std::erase_if(flat, [&](Lang a) { return std::binary_search(gone.begin(), gone.end(), a); });
        flat.insert(flat.end(), out.begin(), out.end());
        return either(std::move(flat));
      }
    }
  }
  if (flat.empty()) return kNone;
  if (flat.size() == 1) return flat[0];
  if (flat.size() > bounds::kUnion) return exceeded_ = true, kNone;
  bool nullable = false, searched = false;
  for (Lang a : flat) {
    if (a == kAll) return kAll;
    nullable |= nodes_[a].nullable;
    searched |= nodes_[a].searched;
  }
  return add({Kind::Either, nullable, searched, list(flat)});
}

Lang Languages::both(std::vector<Lang> parts) {
  std::vector<Lang> flat;
  Lang set = kNone, words = kNone;
  uint32_t least = 0, most = kUnbounded;
  bool counted = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Node n = nodes_[parts[i]];
    if (n.kind == Kind::None) return kNone;
    if (parts[i] == kAll) continue;
    if (n.kind == Kind::Both) {
      parts.insert(parts.end(), lists_[n.a].begin(), lists_[n.a].end());
    } else if (n.kind == Kind::Chars) {
      if (set == kNone) {
        set = parts[i];
        continue;
      }
      const std::vector<uint32_t> a = lists_[nodes_[set].a], b = lists_[n.a];
      std::vector<CharRange> ranges;
      for (size_t x = 0; x < a.size(); x += 2)
        for (size_t y = 0; y < b.size(); y += 2)
          if (std::max(a[x], b[y]) <= std::min(a[x + 1], b[y + 1])) ranges.push_back({std::max(a[x], b[y]), std::min(a[x + 1], b[y + 1])});
      set = chars(std::move(ranges));
      if (set == kNone) return kNone;
    } else if (n.kind == Kind::Repeat && n.a == kAny) {
      counted = true;
      least = std::max(least, n.m);
      most = std::min(most, n.n);
    } else if (n.kind == Kind::Words && words == kNone) {
      words = parts[i];
    } else {
      flat.push_back(parts[i]);
    }
    if (flat.size() + parts.size() > bounds::kUnion) return exceeded_ = true, kNone;
  }
  if (counted) {
    if (least > most) return kNone;
    flat.push_back(repeat(kAny, least, most));
  }
  if (set != kNone) flat.push_back(set);
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  if (words != kNone) {
    if (flat.empty()) return words;
    std::vector<std::u32string> kept;
    for (auto& w : word_list(words)) {
      if (std::all_of(flat.begin(), flat.end(), [&](Lang a) { return contains(a, w); })) kept.push_back(std::move(w));
    }
    return this->words(std::move(kept));
  }
  if (flat.empty()) return kAll;
  if (flat.size() == 1) return flat[0];
  bool nullable = true;
  for (Lang a : flat) {
    nullable &= nodes_[a].nullable;
    if (a == kEmpty) return std::all_of(flat.begin(), flat.end(), [&](Lang b) { return nodes_[b].nullable; }) ? kEmpty : kNone;
    if (nodes_[a].kind == Kind::Inverse && std::binary_search(flat.begin(), flat.end(), nodes_[a].a)) return kNone;
  }
  return add({Kind::Both, nullable, true, list(flat)});
}

Lang Languages::inverse(Lang a) {
  if (a == kNone) return kAll;
  if (a == kAll) return kNone;
  if (a == kEmpty) return repeat(kAny, 1, kUnbounded);
  const Node n = nodes_[a];
  if (n.kind == Kind::Inverse) return n.a;
  if (n.kind == Kind::Repeat && n.a == kAny) {
    Lang below = n.m == 0 ? kNone : repeat(kAny, 0, n.m - 1);
    Lang above = n.n == kUnbounded ? kNone : repeat(kAny, add_counts(n.n, 1), kUnbounded);
    return either(below, above);
  }
  return add({Kind::Inverse, !n.nullable, true, a});
}

Lang Languages::repeat(Lang a, uint32_t least, uint32_t most) {
  if (most == 0 || a == kEmpty) return kEmpty;
  if (least > most) return kNone;
  if (a == kNone) return least == 0 ? kEmpty : kNone;
  if (least == 1 && most == 1) return a;
  const Node n = nodes_[a];
  if (n.nullable) least = 0;
  if (n.kind == Kind::Repeat && n.m <= 1 && n.n == kUnbounded) {  // (X*){m,n}, (X+){m,n}
    if (n.m == 0) return a;
    return repeat(n.a, least, kUnbounded);
  }
  return add({Kind::Repeat, least == 0, n.searched && least > 0, a, 0, least, most});
}

Lang Languages::multiples(uint32_t value, uint32_t scale) { return add({Kind::Multiples, false, true, value, scale, 0, 0}); }

Lang Languages::derive(Lang a, char32_t c) {
  const Node& n = nodes_[a];
  switch (n.kind) {
    case Kind::None:
    case Kind::Empty: return kNone;
    case Kind::Chars: {
      const auto& l = lists_[n.a];
      for (size_t i = 0; i < l.size() && l[i] <= c; i += 2)
        if (c <= l[i + 1]) return kEmpty;
      return kNone;
    }
    default: break;
  }
  const uint64_t key = static_cast<uint64_t>(a) << 21 | c;
  if (const auto it = derivatives_.find(key); it != derivatives_.end()) return it->second;
  const Lang out = derive_new(a, c);
  if (derivatives_.size() > 1'000'000) derivatives_.clear();
  derivatives_.emplace(key, out);
  return out;
}

Lang Languages::derive_new(Lang a, char32_t c) {
  const Node n = nodes_[a];
  switch (n.kind) {
    case Kind::Words: {
      const auto& set = word_sets_[n.a];
      const auto at = [&](const std::u32string& w) { return w.size() > n.b ? static_cast<int64_t>(w[n.b]) : -1; };
      const auto low = std::partition_point(set.begin() + n.m, set.begin() + n.n, [&](auto& w) { return at(w) < static_cast<int64_t>(c); });
      const auto high = std::partition_point(low, set.begin() + n.n, [&](auto& w) { return at(w) == static_cast<int64_t>(c); });
      return words_node(n.a, static_cast<uint32_t>(low - set.begin()), static_cast<uint32_t>(high - set.begin()), n.b + 1);
    }
    case Kind::Concat: {
      const Lang first = concat(derive(n.a, c), n.b);
      if (!nodes_[n.a].nullable) return first;
      const Lang second = derive(n.b, c);
      return either(first, second);
    }
    case Kind::Either:
    case Kind::Both: {
      const std::vector<Lang> parts = lists_[n.a];
      std::vector<Lang> out;
      for (Lang p : parts) {
        const Lang d = derive(p, c);
        if (d == kNone && n.kind == Kind::Both) return kNone;
        if (d != kNone) out.push_back(d);
      }
      return n.kind == Kind::Either ? either(std::move(out)) : both(std::move(out));
    }
    case Kind::Inverse: return inverse(derive(n.a, c));
    case Kind::Repeat: {
      const Lang d = derive(n.a, c);
      if (d == kNone) return kNone;
      return concat(d, repeat(n.a, n.m == 0 ? 0 : n.m - 1, n.n == kUnbounded ? kUnbounded : n.n - 1));
    }
    case Kind::Multiples: {  // a = value, b = scale, m = remainder, n = 0 before digits, 1 in them, 2 + digits after the point
      Node next = n;
      if (c == U'-') {
        if (n.n != 0) return kNone;
        return a;
      }
      if (c == U'.') {
        if (n.n != 1) return kNone;
        next.n = 2;
      } else if (c >= U'0' && c <= U'9') {
        const uint64_t digit = c - U'0';
        if (n.n <= 1) {
          next.n = 1;
          next.m = static_cast<uint32_t>((uint64_t{n.m} * 10 + digit) % n.a);
        } else if (n.n - 2 < n.b) {
          next.n = n.n + 1;
          next.m = static_cast<uint32_t>((uint64_t{n.m} * 10 + digit) % n.a);
        } else {
          if (digit != 0) return kNone;  // finer than the scale
        }
      } else {
        return kNone;
      }
      uint64_t rest = next.m;  // times 10 for each digit of the scale that did not come
      for (uint32_t i = next.n < 2 ? 0 : next.n - 2; i < n.b && rest != 0; ++i) rest = rest * 10 % n.a;
      next.nullable = next.n != 0 && rest == 0;
      return add(next);
    }
    default: return kNone;
  }
}

Lang Languages::next(Lang a, char32_t c) {
  const Lang out = derive(a, c);
  return live(out) ? out : kNone;
}

bool Languages::live(Lang a) {
  if (live_[a] >= 0) return live_[a] == 1;
  std::vector<Lang> from{a}, came{a};  // breadth does not matter: a stack finds long counters' ends soon
  std::unordered_map<Lang, Lang> parent{{a, a}};
  bool unsure = false;
  while (!from.empty()) {
    const Lang here = from.back();
    from.pop_back();
    Lang last = UINT32_MAX;
    const std::vector<char32_t> points = cuts(here);
    for (char32_t c : points) {
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      const Lang to = derive(here, c);
      if (to == last || live_[to] == 0) continue;
      last = to;
      if (live_[to] == 1) {
        for (Lang x = here;; x = parent[x]) {
          live_[x] = 1;
          if (x == a) return true;
        }
      }
      if (parent.emplace(to, here).second) {
        from.push_back(to);
        came.push_back(to);
      }
    }
    if (searches_left_ != SIZE_MAX && searches_left_-- == 0) searches_left_ = 0, unsure = true;
    if (unsure || parent.size() > bounds::kSearch || nodes_.size() > 4 * bounds::kLanguageNodes) {
      unsure = true;
      break;
    }
  }
  if (unsure) {
    exceeded_ = true;
    live_[a] = 0;  // too small a set, never too large
    return false;
  }
  for (Lang x : came) live_[x] = 0;
  return false;
}

bool Languages::contains(Lang a, std::u32string_view text) {
  for (char32_t c : text) {
    a = derive(a, c);
    if (a == kNone) return false;
  }
  return nodes_[a].nullable;
}

const std::vector<char32_t>& Languages::cuts(Lang a) {
  if (const auto it = cuts_.find(a); it != cuts_.end()) return it->second;
  const Node n = nodes_[a];
  std::vector<char32_t> out{0};
  const auto take = [&](Lang b) {
    const std::vector<char32_t>& more = cuts(b);
    out.insert(out.end(), more.begin(), more.end());
  };
  switch (n.kind) {
    case Kind::Chars: {
      const auto& l = lists_[n.a];
      for (size_t i = 0; i < l.size(); i += 2) out.insert(out.end(), {static_cast<char32_t>(l[i]), static_cast<char32_t>(l[i + 1] + 1)});
      break;
    }
    case Kind::Words:
      for (uint32_t i = n.m; i < n.n; ++i) {
        const std::u32string& w = word_sets_[n.a][i];
        if (w.size() > n.b && out.back() != w[n.b] + 1) out.insert(out.end(), {w[n.b], w[n.b] + 1});
      }
      break;
    case Kind::Concat:
      take(n.a);
      if (nodes_[n.a].nullable) take(n.b);
      break;
    case Kind::Either:
    case Kind::Both: {
      const std::vector<Lang> parts = lists_[n.a];
      for (Lang p : parts) take(p);
      break;
    }
    case Kind::Inverse:
    case Kind::Repeat: take(n.a); break;
    case Kind::Multiples:
      out.insert(out.end(), {U'-', U'.', U'/'});
      for (char32_t c = U'0'; c <= U':'; ++c) out.push_back(c);
      break;
    default: break;
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  while (!out.empty() && out.back() > kLastPoint) out.pop_back();
  if (cuts_.size() > 200'000) cuts_.clear();
  return cuts_.emplace(a, std::move(out)).first->second;
}

size_t Languages::count(Lang a, size_t most) {
  size_t found = 0, steps = 0;
  std::vector<Lang> todo{a};
  while (!todo.empty() && found < most) {
    const Lang here = todo.back();
    todo.pop_back();
    if (++steps > bounds::kSearch) return found;
    found += nodes_[here].nullable;
    const std::vector<char32_t> points = cuts(here);
    for (size_t i = 0; i < points.size(); ++i) {
      const Lang to = next(here, points[i]);
      if (to == kNone) continue;
      const size_t width = (i + 1 < points.size() ? points[i + 1] : kLastPoint + 1) - points[i];
      for (size_t k = 0; k < std::min(width, most); ++k) todo.push_back(to);
    }
  }
  return std::min(found, most);
}

Lang Languages::strip(Lang a, char32_t mark) {
  const uint64_t key = static_cast<uint64_t>(a) << 22 | (mark - kBeginMark);
  if (const auto it = stripped_.find(key); it != stripped_.end()) return it->second;
  const Node n = nodes_[a];
  Lang out = a;
  switch (n.kind) {
    case Kind::Chars: {
      const std::vector<uint32_t> l = lists_[n.a];
      std::vector<CharRange> ranges;
      for (size_t i = 0; i < l.size(); i += 2)
        if (l[i] != mark) ranges.push_back({l[i], l[i + 1]});
      out = chars(std::move(ranges));
      break;
    }
    case Kind::Concat: {
      const Lang x = strip(n.a, mark);
      out = concat(x, strip(n.b, mark));
      break;
    }
    case Kind::Either:
    case Kind::Both: {
      std::vector<Lang> parts = lists_[n.a];
      for (Lang& p : parts) p = strip(p, mark);
      out = n.kind == Kind::Either ? either(std::move(parts)) : both(std::move(parts));
      break;
    }
    case Kind::Inverse: out = inverse(strip(n.a, mark)); break;
    case Kind::Repeat: out = repeat(strip(n.a, mark), n.m, n.n); break;
    default: break;
  }
  stripped_.emplace(key, out);
  return out;
}

Lang Languages::without_begin(Lang a) { return strip(derive(a, kBeginMark), kBeginMark); }

Lang Languages::strip_end(Lang a) {
  const uint64_t key = static_cast<uint64_t>(a) << 22 | 2;
  if (const auto it = stripped_.find(key); it != stripped_.end()) return it->second;
  const Node n = nodes_[a];
  Lang out = kNone;
  switch (n.kind) {
    case Kind::Chars: out = derive(a, kEndMark); break;
    case Kind::Concat: {
      out = concat(strip(n.a, kEndMark), strip_end(n.b));
      if (nodes_[n.b].nullable) out = either(out, strip_end(n.a));
      break;
    }
    case Kind::Either:
    case Kind::Both: {
      std::vector<Lang> parts = lists_[n.a];
      for (Lang& p : parts) p = strip_end(p);
      out = n.kind == Kind::Either ? either(std::move(parts)) : both(std::move(parts));
      break;
    }
    case Kind::Inverse: out = inverse(strip_end(n.a)); break;
    case Kind::Repeat: {
      const Lang last = strip_end(n.a);
      if (last != kNone)
        out = concat(repeat(strip(n.a, kEndMark), n.m == 0 ? 0 : n.m - 1, n.n == kUnbounded ? kUnbounded : n.n - 1), last);
      break;
    }
    default: break;
  }
  stripped_.emplace(key, out);
  return out;
}

Lang Languages::without_end(Lang a) { return strip_end(a); }

}  // namespace verge::engine::grammar
