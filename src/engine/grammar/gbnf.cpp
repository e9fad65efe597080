#include "engine/grammar/gbnf.h"

#include <algorithm>
#include <optional>
#include <queue>

#include "engine/grammar/bounds.h"
#include "engine/grammar/gbnf_text.h"

namespace verge::engine::grammar {
namespace {

using Node = GbnfNode;

class Compiler {
 public:
  Compiler(Rules& rules, const GbnfText& text, std::string_view source)
      : rules_(rules), l_(rules.languages), text_(text), source_(source),
        sets_(text.rules.size()), recursive_(text.rules.size()), empty_(text.rules.size()),
        regular_(text.nodes.size(), 1) {}

  Result<void> run(uint32_t part) {
    for (const std::vector<uint32_t>& group : groups()) {
      if (l_.exceeded()) break;
      if (group.size() == 1 && !recursive_[group[0]]) sets_[group[0]] = set(body(group[0]));
      else recursive_rules_.insert(recursive_rules_.end(), group.begin(), group.end());
    }
    if (l_.exceeded()) return too_large();
    if (!recursive_[text_.root] && regular(body(text_.root))) {
      rules_.parts[part].text = sets_[text_.root];
      if (!l_.live(sets_[text_.root])) return fault(text_.root, "no text matches it");
      return {};
    }
    return calls(part);
  }

 private:
  struct Fragment {
    bool empty = false;
    std::vector<uint32_t> first, last;
  };

  uint32_t body(uint32_t rule) const { return text_.rules[rule].body; }
  Result<void> fault(uint32_t rule, std::string_view what) const {
    return fail(Code::InvalidInput, "{}the rule '{}': {}",
                line_and_column(source_, text_.rules[rule].at), text_.rules[rule].name, what);
  }
  static Result<void> too_large() {
    return fail(Code::InvalidInput, "it needs more memory than a grammar may have");
  }

  void refer(uint32_t node, std::vector<uint32_t>& out) const {
    const Node& n = text_.nodes[node];
    if (n.kind == Node::Rule) out.push_back(n.rule);
    for (uint32_t item : n.items) refer(item, out);
  }

  // Rules that lead to each other, those that are led to first (Tarjan 1972). Sets recursive_.
  std::vector<std::vector<uint32_t>> groups() {
    const size_t n = text_.rules.size();
    std::vector<std::vector<uint32_t>> to(n), out;
    for (uint32_t r = 0; r < n; ++r) {
      refer(body(r), to[r]);
      std::sort(to[r].begin(), to[r].end());
      to[r].erase(std::unique(to[r].begin(), to[r].end()), to[r].end());
    }
    std::vector<uint32_t> order(n, 0), low(n, 0), stack;
    std::vector<uint8_t> open(n, 0);
    std::vector<std::pair<uint32_t, size_t>> path;
    uint32_t count = 0;
    for (uint32_t start = 0; start < n; ++start) {
      if (order[start]) continue;
      path.emplace_back(start, 0);
      while (!path.empty()) {
        const uint32_t r = path.back().first;
        const size_t at = path.back().second++;
        if (at == 0) order[r] = low[r] = ++count, stack.push_back(r), open[r] = 1;
        if (at > 0 && open[to[r][at - 1]]) low[r] = std::min(low[r], low[to[r][at - 1]]);
        if (at < to[r].size()) {
          if (!order[to[r][at]]) path.emplace_back(to[r][at], 0);
          continue;
        }
        if (low[r] == order[r]) {
          std::vector<uint32_t> group;
          do {
            group.push_back(stack.back());
            open[stack.back()] = 0;
            stack.pop_back();
          } while (group.back() != r);
          const bool self = std::binary_search(to[r].begin(), to[r].end(), r);
          for (uint32_t one : group) recursive_[one] = group.size() > 1 || self;
          // A rule that only leads to such rules is one of parts too.
          if (!recursive_[r])
            recursive_[r] = std::any_of(to[r].begin(), to[r].end(),
                                        [&](uint32_t x) { return recursive_[x]; });
          out.push_back(std::move(group));
        }
        path.pop_back();
      }
    }
    for (uint32_t i = 0; i < text_.nodes.size(); ++i) {
      const Node& node = text_.nodes[i];
      if (node.kind == Node::Rule) regular_[i] = !recursive_[node.rule];
      for (uint32_t item : node.items) regular_[i] &= regular_[item];
    }
    return out;
  }
  bool regular(uint32_t node) const { return regular_[node]; }

  Lang set(uint32_t node) {
    const Node& n = text_.nodes[node];
    if (l_.exceeded()) return Languages::kNone;
    switch (n.kind) {
      case Node::Text: return l_.text(n.text);
      case Node::Class: return l_.chars(n.ranges);
      case Node::Rule: return sets_[n.rule];
      case Node::Repeat: return l_.repeat(set(n.items[0]), n.least, n.most);
      case Node::Choice: return any_of(n.items);
      case Node::Sequence: break;
    }
    return sequence(n.items.begin(), n.items.end());
  }
  Lang any_of(const std::vector<uint32_t>& items) {
    std::vector<std::u32string> words;
    std::vector<Lang> parts;
    for (uint32_t item : items) {
      if (text_.nodes[item].kind == Node::Text) words.push_back(text_.nodes[item].text);
      else parts.push_back(set(item));
    }
    if (!words.empty()) parts.push_back(l_.words(std::move(words)));
    return l_.either(std::move(parts));
  }
  template <typename It>
  Lang sequence(It from, It to) {
    Lang out = Languages::kEmpty;
    while (to != from) out = l_.concat(set(*--to), out);
    return out;
  }

  // Rules as parts. One part takes at least one character; what may be empty is passed over.
  Result<void> calls(uint32_t part) {
    if (recursive_rules_.size() > bounds::kGbnfRules)
      return fail(Code::InvalidInput, "{} rules lead to themselves; at most {} may",
                  recursive_rules_.size(), bounds::kGbnfRules);
    for (bool more = true; more;) {
      more = false;
      for (uint32_t r : recursive_rules_)
        if (!empty_[r] && may_be_empty(body(r))) empty_[r] = more = true;
    }
    first_part_ = rules_.parts.size();
    const size_t first_call = rules_.calls.size();
    numbers_.assign(text_.rules.size(), 0);
    for (uint32_t r : recursive_rules_) {
      numbers_[r] = static_cast<uint32_t>(rules_.calls.size());
      rules_.calls.emplace_back();
    }
    for (uint32_t r : recursive_rules_) {
      VERGE_ASSIGN(made, fragment(body(r)));
      for (uint32_t p : made.last) rules_.parts[p].last = true;
      rules_.calls[numbers_[r]] = std::move(made.first);
      if (l_.exceeded()) return too_large();
    }
    VERGE_TRY(no_left_recursion());
    const std::vector<int> levels = needs(first_call);
    const int root = levels[numbers_[text_.root] - first_call];
    if (!empty_[text_.root] && root >= kNever) return fault(text_.root, "no text can be ended");
    if (!empty_[text_.root] && root + 1 > bounds::kCalls)
      return fault(text_.root, "its shortest text has too many rules within each other");
    uint32_t call = numbers_[text_.root];
    if (empty_[text_.root]) {  // the whole text alone may be empty here
      std::vector<uint32_t> first = rules_.calls[call];
      PartRule nothing;
      nothing.text = Languages::kEmpty;
      nothing.last = true;
      rules_.parts.push_back(std::move(nothing));
      first.push_back(static_cast<uint32_t>(rules_.parts.size() - 1));
      call = static_cast<uint32_t>(rules_.calls.size());
      rules_.calls.push_back(std::move(first));
    }
    rules_.parts[part].call = call;
    return {};
  }

  bool may_be_empty(uint32_t node) const {
    const Node& n = text_.nodes[node];
    switch (n.kind) {
      case Node::Text: return n.text.empty();
      case Node::Class: return false;
      case Node::Rule: return recursive_[n.rule] ? empty_[n.rule] : l_.nullable(sets_[n.rule]);
      case Node::Repeat: return n.least == 0 || may_be_empty(n.items[0]);
      case Node::Choice:
        return std::any_of(n.items.begin(), n.items.end(), [&](uint32_t i) { return may_be_empty(i); });
      case Node::Sequence: break;
    }
    return std::all_of(n.items.begin(), n.items.end(), [&](uint32_t i) { return may_be_empty(i); });
  }

  Result<Fragment> part(PartRule made, bool empty) {
    if (rules_.parts.size() - first_part_ >= bounds::kGbnfParts)
      return fail(Code::InvalidInput, "rules that lead to themselves have more than {} parts",
                  bounds::kGbnfParts);
    const auto id = static_cast<uint32_t>(rules_.parts.size());
    rules_.parts.push_back(std::move(made));
    return Fragment{empty, {id}, {id}};
  }
  Result<Fragment> text(Lang set) {
    PartRule made;
    made.text = l_.both(set, l_.inverse(Languages::kEmpty));
    if (!l_.live(made.text)) return Fragment{l_.nullable(set), {}, {}};
    return part(std::move(made), l_.nullable(set));
  }
  Result<void> connect(const std::vector<uint32_t>& from, const std::vector<uint32_t>& to) {
    edges_ += from.size() * to.size();
    if (edges_ > bounds::kGbnfEdges)
      return fail(Code::InvalidInput, "rules that lead to themselves have too many ways on");
    for (uint32_t p : from) {
      std::vector<uint32_t>& next = rules_.parts[p].next;
      for (uint32_t q : to)
        if (std::find(next.begin(), next.end(), q) == next.end()) next.push_back(q);
    }
    return {};
  }
  Result<void> append(Fragment& a, Fragment b) {
    VERGE_TRY(connect(a.last, b.first));
    if (a.empty) a.first.insert(a.first.end(), b.first.begin(), b.first.end());
    if (b.empty) a.last.insert(a.last.end(), b.last.begin(), b.last.end());
    else a.last = std::move(b.last);
    a.empty &= b.empty;
    return {};
  }

  Result<Fragment> fragment(uint32_t node) {
    const Node& n = text_.nodes[node];
    if (regular(node)) return text(set(node));
    if (n.kind == Node::Rule) {
      PartRule made;
      made.call = numbers_[n.rule];
      return part(std::move(made), empty_[n.rule]);
    }
    if (n.kind == Node::Sequence) {
      Fragment out{true, {}, {}};
      for (size_t i = 0; i < n.items.size();) {
        size_t end = i;
        while (end < n.items.size() && regular(n.items[end])) ++end;
        if (end > i) {
          const auto from = n.items.begin() + static_cast<ptrdiff_t>(i);
          VERGE_ASSIGN(next, text(sequence(from, n.items.begin() + static_cast<ptrdiff_t>(end))));
          VERGE_TRY(append(out, std::move(next)));
          i = end;
        } else {
          VERGE_ASSIGN(next, fragment(n.items[i++]));
          VERGE_TRY(append(out, std::move(next)));
        }
      }
      return out;
    }
    if (n.kind == Node::Choice) {
      std::vector<uint32_t> sets, others;
      for (uint32_t item : n.items) (regular(item) ? sets : others).push_back(item);
      if (others.size() > bounds::kAlternatives)
        return fail(Code::InvalidInput, "{}{} alternatives of one place lead to rules; at most {} may",
                    line_and_column(source_, n.at), others.size(), bounds::kAlternatives);
      Fragment out;
      const auto either = [&out](Fragment x) {
        out.empty |= x.empty;
        out.first.insert(out.first.end(), x.first.begin(), x.first.end());
        out.last.insert(out.last.end(), x.last.begin(), x.last.end());
      };
      if (!sets.empty()) {
        VERGE_ASSIGN(made, text(any_of(sets)));
        either(std::move(made));
      }
      for (uint32_t item : others) {
        VERGE_ASSIGN(made, fragment(item));
        either(std::move(made));
      }
      return out;
    }
    // A repetition: what must come is written out, what may come too.
    const uint32_t copies = n.most == kUnbounded ? std::max(n.least, 1u) : n.most;
    if (copies > bounds::kAlternatives)
      return fail(Code::InvalidInput,
                  "{}a rule that leads to itself is repeated {} times; at most {} are taken",
                  line_and_column(source_, n.at), copies, bounds::kAlternatives);
    Fragment out{true, {}, {}};
    for (uint32_t i = 0; i < copies; ++i) {
      VERGE_ASSIGN(one, fragment(n.items[0]));
      if (n.most == kUnbounded && i + 1 == copies) VERGE_TRY(connect(one.last, one.first));
      if (i >= n.least) one.empty = true;
      VERGE_TRY(append(out, std::move(one)));
    }
    return out;
  }

  Result<void> no_left_recursion() {
    std::vector<uint8_t> seen(text_.rules.size(), 0);  // 1: on the path, 2: done
    std::vector<std::pair<uint32_t, size_t>> path;
    std::unordered_map<uint32_t, uint32_t> rule_of;
    for (uint32_t r : recursive_rules_) rule_of[numbers_[r]] = r;
    for (uint32_t start : recursive_rules_) {
      if (seen[start]) continue;
      seen[start] = 1;
      path.emplace_back(start, 0);
      while (!path.empty()) {
        const uint32_t r = path.back().first;
        const std::vector<uint32_t>& first = rules_.calls[numbers_[r]];
        if (path.back().second >= first.size()) {
          seen[r] = 2;
          path.pop_back();
          continue;
        }
        const PartRule& p = rules_.parts[first[path.back().second++]];
        if (p.call == kNoCall) continue;
        const uint32_t to = rule_of.at(p.call);
        if (seen[to] == 1) return fault(to, "it begins with itself (left recursion), which is not supported");
        if (seen[to] == 0) seen[to] = 1, path.emplace_back(to, 0);
      }
    }
    return {};
  }

  // Sets the `need` of each part; returns that of each rule: the least over the parts that it
  // begins with. Values only fall, and those before a part that fell are looked at again.
  static constexpr int kNever = 1 << 20;
  std::vector<int> needs(size_t first_call) {
    std::vector<PartRule>& parts = rules_.parts;
    std::vector<int> level(rules_.calls.size() - first_call, kNever);
    std::vector<std::vector<uint32_t>> before(parts.size() - first_part_), callers(level.size()),
        begins(parts.size() - first_part_);
    for (size_t p = first_part_; p < parts.size(); ++p) {
      parts[p].need = kNever;
      for (uint32_t q : parts[p].next) before[q - first_part_].push_back(static_cast<uint32_t>(p));
      if (parts[p].call != kNoCall)
        callers[parts[p].call - first_call].push_back(static_cast<uint32_t>(p));
    }
    for (size_t c = 0; c < level.size(); ++c)
      for (uint32_t p : rules_.calls[first_call + c])
        begins[p - first_part_].push_back(static_cast<uint32_t>(c));
    std::queue<uint32_t> work;
    for (size_t p = parts.size(); p-- > first_part_;) work.push(static_cast<uint32_t>(p));
    while (!work.empty()) {
      const uint32_t p = work.front();
      work.pop();
      int rest = parts[p].last ? 0 : kNever;
      for (uint32_t q : parts[p].next) rest = std::min(rest, parts[q].need);
      const int own = parts[p].call == kNoCall
                          ? 0
                          : level[parts[p].call - first_call] + !parts[p].ends_rule();
      const int now = std::max(own, rest);
      if (now >= parts[p].need) continue;
      parts[p].need = now;
      for (uint32_t q : before[p - first_part_]) work.push(q);
      for (uint32_t c : begins[p - first_part_]) {
        if (now >= level[c]) continue;
        level[c] = now;
        for (uint32_t q : callers[c]) work.push(q);
      }
    }
    return level;
  }

  Rules& rules_;
  Languages& l_;
  const GbnfText& text_;
  std::string_view source_;
  std::vector<Lang> sets_;            // of rules that are sets of texts
  std::vector<uint8_t> recursive_, empty_, regular_;
  std::vector<uint32_t> recursive_rules_, numbers_;  // numbers_: in rules.calls
  size_t first_part_ = 0, edges_ = 0;
};

}  // namespace

Result<void> add_gbnf(Rules& rules, uint32_t part, std::string_view source) {
  VERGE_ASSIGN(text, GbnfText::parse(source));
  return Compiler(rules, text, source).run(part);
}

}  // namespace verge::engine::grammar
