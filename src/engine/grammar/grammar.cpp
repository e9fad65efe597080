#include "engine/grammar/grammar.h"

#include <algorithm>

#include "engine/grammar/bounds.h"
#include "engine/grammar/json_tree.h"
#include "engine/grammar/pattern.h"
#include "engine/grammar/schema.h"

namespace verge::engine::grammar {
namespace {

Result<std::unique_ptr<Rules>> text_rules(SourceKind kind, std::string_view source) {
  if (source.size() > bounds::kSourceBytes)
    return fail(Code::InvalidInput, "it has {} bytes; at most {} are taken", source.size(), bounds::kSourceBytes);
  auto rules = std::make_unique<Rules>();
  Languages& l = rules->languages;
  rules->kind = RootKind::Text;
  if (kind == SourceKind::Regex) {
    VERGE_ASSIGN(set, parse_pattern(l, source, Match::Whole));
    rules->text = set;
  } else {
    VERGE_ASSIGN(tree, JsonTree::parse(source));
    std::vector<std::u32string> words;
    bool good = tree.root().type == Json::Array && !tree.root().items.empty();
    for (const Json* item : tree.root().items) {
      good &= item->type == Json::String;
      words.push_back(code_points(item->text));
    }
    if (!good) return fail(Code::InvalidInput, "the choices must be a list of texts that is not empty");
    rules->text = l.words(std::move(words));
  }
  if (!l.live(rules->text)) return fail(Code::InvalidInput, "no text matches it");
  if (l.exceeded()) return fail(Code::InvalidInput, "it needs more memory than a grammar may have");
  return rules;
}

}  // namespace

// One mask while it is made.
struct Grammar::Fill {
  Machine& machine;
  const TokenBytes& tokens;
  const Machine::Position& from;
  Mask mask;
  bool read_text = false;  // captured bytes mattered
  std::vector<int32_t> path;

  void set(int32_t id) { mask[static_cast<size_t>(id) >> 5] |= 1u << (id & 31); }
  void clear(int32_t id) { mask[static_cast<size_t>(id) >> 5] &= ~(1u << (id & 31)); }

  bool runs(int32_t id) {
    Machine::Position at = from;
    for (char c : tokens.bytes(id))
      if (!machine.advance(at, static_cast<uint8_t>(c))) return false;
    return true;
  }

  // Tokens of the nodes [first, last) of `trie`, from `place`. Those that come to `rest` are in the mask already.
  void walk(const ByteTrie& trie, uint32_t first, uint32_t last, int32_t place, uint16_t depth, int32_t rest) {
    path.resize(tokens.longest() + 2);
    path[depth] = place;
    const bool clears = rest != Machine::kDead;
    for (uint32_t i = first; i < last;) {
      const ByteTrie::Node& n = trie.nodes[i];
      const int32_t here = path[n.depth - 1];
      if (machine.needs_text(here, n.byte)) {
        read_text = true;
        for (uint32_t t = n.first_token; t < trie.nodes[n.end].first_token; ++t) {
          if (runs(trie.tokens[t])) set(trie.tokens[t]);
          else clear(trie.tokens[t]);
        }
        i = n.end;
        continue;
      }
      const int32_t to = machine.step(here, n.byte);
      if (to == Machine::kDead || (clears && to == rest)) {
        if (clears && to == Machine::kDead)
          for (uint32_t t = n.first_token; t < trie.nodes[n.end].first_token; ++t) clear(trie.tokens[t]);
        i = n.end;
        continue;
      }
      path[n.depth] = to;
      for (uint32_t t = n.first_token; t < n.first_token + n.own; ++t) set(trie.tokens[t]);
      ++i;
    }
  }

  // Of a place that is plain().
  void plain(int32_t place) {
    const std::vector<uint32_t>& body = tokens.body();
    for (size_t i = 0; i < body.size(); ++i) mask[i] |= body[i];
    const int32_t out = machine.step(place, '"');
    if (out == Machine::kDead) return;
    for (int32_t id : tokens.bare_exits()) set(id);
    walk(tokens.exits(), 0, static_cast<uint32_t>(tokens.exits().size()), out, 0, Machine::kDead);
  }

  // The plain place that most bytes lead to from inside a string, kDead where there is none.
  int32_t mostly(int32_t place) {
    if (!machine.in_string(place)) return Machine::kDead;
    int32_t found = Machine::kDead;
    for (char c : std::string_view("qzJQ7~;^")) {
      const int32_t to = machine.step(place, static_cast<uint8_t>(c));
      if (to == Machine::kDead || !machine.plain(to)) continue;
      if (found == to) return found;
      found = to;
    }
    return Machine::kDead;
  }

  void make(bool begins_text) {
    const int32_t place = from.place;
    const ByteTrie& trie = tokens.trie();
    const auto size = static_cast<uint32_t>(trie.size());
    if (machine.plain(place)) {
      plain(place);
    } else {
      const int32_t rest = mostly(place);
      if (rest != Machine::kDead) plain(rest);
      walk(trie, 0, size, place, 0, rest);
      if (begins_text) {
        for (uint32_t i = 0; i < size; i = trie.nodes[i].end)
          if (trie.nodes[i].byte == ' ') walk(trie, i + 1, trie.nodes[i].end, place, 1, Machine::kDead);
      }
    }
    if (machine.complete(place))
      for (int32_t id : tokens.stops()) set(id);
  }
};

Result<std::shared_ptr<Grammar>> Grammar::compile(SourceKind kind, std::string_view source, const TokenBytes& tokens) {
  Result<std::unique_ptr<Rules>> rules = kind == SourceKind::JsonSchema ? compile_schema(source) : text_rules(kind, source);
  if (!rules) return std::move(rules.error());
  return std::shared_ptr<Grammar>(new Grammar(std::move(*rules), tokens));
}

std::shared_ptr<const Mask> Grammar::mask(const Matcher& at) {
  const std::lock_guard lock(mutex_);
  if (!at.begins_text)
    if (const auto it = masks_.find(at.position.place); it != masks_.end()) return it->second;
  Fill fill{machine_, *tokens_, at.position, Mask(tokens_->words(), 0), false, {}};
  fill.make(at.begins_text);
  auto mask = std::make_shared<const Mask>(std::move(fill.mask));
  if (!fill.read_text && !at.begins_text) {
    masks_.emplace(at.position.place, mask);
    mask_bytes_ += mask->size() * 4 + 64;
  }
  if (mask_bytes_ + machine_.bytes() > bounds::kCacheBytes) {
    masks_.clear();
    mask_bytes_ = 0;
    machine_.forget_steps();
  }
  return mask;
}

bool Grammar::run(Machine::Position& at, std::string_view bytes) {
  Machine::Position to = at;
  for (char c : bytes)
    if (!machine_.advance(to, static_cast<uint8_t>(c))) return false;
  at = std::move(to);
  return true;
}

bool Grammar::advance(Matcher& at, int32_t token) {
  const std::lock_guard lock(mutex_);
  if (tokens_->is_stop(token)) return machine_.complete(at.position.place);
  if (token < 0 || token >= tokens_->rows()) return false;
  std::string_view bytes = tokens_->bytes(token);
  if (bytes.empty()) return false;
  if (at.begins_text && bytes[0] == ' ' && bytes.size() > 1) bytes.remove_prefix(1);
  if (!run(at.position, bytes)) return false;
  at.begins_text = false;
  return true;
}

bool Grammar::complete(const Matcher& at) {
  const std::lock_guard lock(mutex_);
  return machine_.complete(at.position.place);
}

}  // namespace verge::engine::grammar
