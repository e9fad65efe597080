#include "engine/grammar/grammar.h"

#include <algorithm>

#include "engine/grammar/bounds.h"
#include "engine/grammar/gbnf.h"
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
  if (kind == SourceKind::Gbnf) {
    rules->kind = RootKind::Parts;
    rules->first = {0};
    rules->parts.emplace_back().last = true;
    VERGE_TRY(add_gbnf(*rules, 0, source));
    if (l.exceeded())
      return fail(Code::InvalidInput, "it needs more memory than a grammar may have");
    l.compiled();
    return rules;
  }
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
  l.compiled();
  return rules;
}

void set(Mask& mask, int32_t id) { mask[static_cast<size_t>(id) >> 5] |= 1u << (id & 31); }
void clear(Mask& mask, int32_t id) { mask[static_cast<size_t>(id) >> 5] &= ~(1u << (id & 31)); }

}  // namespace

// One mask while it is made.
struct Grammar::Fill {
  Grammar& grammar;
  const Machine::Position& from;
  Mask mask;
  bool read_text = false;  // captured bytes mattered
  Machine& machine = grammar.machine_;
  const TokenBytes& tokens = *grammar.tokens_;
  std::vector<int32_t> path = std::vector<int32_t>(tokens.longest() + 2);

  bool runs(int32_t id) {
    Machine::Position at = from;
    for (char c : tokens.bytes(id))
      if (!machine.advance(at, static_cast<uint8_t>(c))) return false;
    return true;
  }

  // Adds tokens of the nodes [first, last) of `trie` that can follow `place`; with `only`, no others than those in it.
  void walk(const ByteTrie& trie, uint32_t first, uint32_t last, int32_t place, size_t depth, const Mask* only) {
    path[depth] = place;
    for (uint32_t i = first; i < last;) {
      const ByteTrie::Node& n = trie.nodes[i];
      const int32_t here = path[n.depth - 1u];
      if (machine.needs_text(here, n.byte)) {
        read_text = true;
        for (uint32_t t = n.first_token; t < trie.nodes[n.end].first_token; ++t)
          if ((!only || admits(*only, trie.tokens[t])) && runs(trie.tokens[t])) set(mask, trie.tokens[t]);
        i = n.end;
        continue;
      }
      const int32_t to = machine.step(here, n.byte);
      if (to == Machine::kDead) {
        i = n.end;
        continue;
      }
      path[n.depth] = to;
      for (uint32_t t = n.first_token; t < n.first_token + n.own; ++t)
        if (!only || admits(*only, trie.tokens[t])) set(mask, trie.tokens[t]);
      ++i;
    }
  }
  void walk_all(int32_t place) { walk(tokens.trie(), 0, static_cast<uint32_t>(tokens.trie().size()), place, 0, nullptr); }

  void string(const Machine::Part& part) {
    if (part.state < 0) return walk_all(part.place);
    const auto state = static_cast<uint32_t>(part.state);
    std::shared_ptr<const StringMasks>& known = grammar.strings_[state];
    if (!known) {
      known = std::make_shared<const StringMasks>(grammar.string_masks(state));
      grammar.mask_bytes_ += mask.size() * 8 + 128;
    }
    const StringMasks& masks = *known;
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= masks.stay[i];
    if (part.closed == Machine::kDead) return;
    for (int32_t id : tokens.bare_exits())
      if (admits(masks.leave, id)) set(mask, id);
    walk(tokens.exits(), 0, static_cast<uint32_t>(tokens.exits().size()), part.closed, 0, &masks.leave);
  }

  // After a backslash: what the escape's bytes lead to is inside the string again, where tokens are known.
  void escape(int32_t place) {
    const ByteTrie& trie = tokens.trie();
    for (uint32_t i = 0; i < trie.size(); i = trie.nodes[i].end) {
      const ByteTrie::Node& n = trie.nodes[i];
      const int32_t to = machine.step(place, n.byte);
      if (to == Machine::kDead) continue;
      if (!machine.plain(to) || n.byte == '"' || n.byte == '\\') {
        walk(trie, i, n.end, place, 0, nullptr);
        continue;
      }
      for (uint32_t t = n.first_token; t < trie.nodes[n.end].first_token; ++t) {
        const int32_t id = trie.tokens[t];
        if (admits(tokens.body(), id) || (admits(tokens.leaving(), id) && runs(id))) set(mask, id);
      }
    }
  }

  void make(bool begins_text) {
    const int32_t place = from.place;
    if (machine.in_string(place)) {
      for (const Machine::Part& part : machine.parts(place)) string(part);
    } else if (machine.in_escape(place)) {
      escape(place);
    } else {
      walk_all(place);
      const ByteTrie& trie = tokens.trie();
      for (uint32_t i = 0; begins_text && i < trie.size(); i = trie.nodes[i].end)
        if (trie.nodes[i].byte == ' ') walk(trie, i + 1, trie.nodes[i].end, place, 1, nullptr);
    }
    if (machine.complete(place))
      for (int32_t id : tokens.stops()) set(mask, id);
  }
};

Grammar::StringMasks Grammar::string_masks(uint32_t state) {
  Lexer& lexer = machine_.lexer();
  StringMasks out{Mask(tokens_->words(), 0), Mask(tokens_->words(), 0)};
  uint32_t least = 0, most = 0;
  if (machine_.languages().counted(lexer.set(state), least, most)) {
    out.stay = tokens_->body_up_to(most);
    if (least == 0 && most == kUnbounded) {
      out.leave = tokens_->leaving();
    } else {
      const auto one = [&](int32_t id) {
        const uint32_t n = tokens_->before_exit(id);
        if (n >= least && n <= most) set(out.leave, id);
      };
      for (int32_t id : tokens_->bare_exits()) one(id);
      for (int32_t id : tokens_->exits().tokens) one(id);
    }
    return out;
  }
  // Where most bytes lead to an open string, all of its tokens are taken first and the others' are put right.
  const auto open = static_cast<int32_t>(lexer.start(Languages::kAll, true));
  int opens = 0;
  for (char c : std::string_view("qzJQ7~;^")) opens += lexer.step(state, static_cast<uint8_t>(c)) == open;
  const bool rest = opens >= 4;
  if (rest) out = {tokens_->body(), tokens_->leaving()};
  const ByteTrie& trie = tokens_->trie();
  std::vector<uint32_t> path(tokens_->longest() + 2);
  path[0] = state;
  for (uint32_t i = 0; i < trie.size();) {
    const ByteTrie::Node& n = trie.nodes[i];
    const uint32_t here = path[n.depth - 1u];
    const uint32_t end = trie.nodes[n.end].first_token;
    if (n.byte == '"' && lexer.between(here)) {
      const bool closes = lexer.accepts(here);
      for (uint32_t t = n.first_token; t < end; ++t) {
        if (closes) set(out.leave, trie.tokens[t]);
        else if (rest) clear(out.leave, trie.tokens[t]);
      }
      i = n.end;
      continue;
    }
    const int32_t to = lexer.step(here, n.byte);
    if (to == Lexer::kDead) {
      for (uint32_t t = n.first_token; rest && t < end; ++t) clear(out.leave, trie.tokens[t]), clear(out.stay, trie.tokens[t]);
      i = n.end;
    } else if (rest && to == open) {
      i = n.end;
    } else {
      path[n.depth] = static_cast<uint32_t>(to);
      for (uint32_t t = n.first_token; t < n.first_token + n.own; ++t) set(out.stay, trie.tokens[t]);
      ++i;
    }
  }
  return out;
}

Result<std::shared_ptr<Grammar>> Grammar::compile(SourceKind kind, std::string_view source, const TokenBytes& tokens) {
  Result<std::unique_ptr<Rules>> rules = kind == SourceKind::JsonSchema ? compile_schema(source) : text_rules(kind, source);
  if (!rules) return std::move(rules.error());
  return std::shared_ptr<Grammar>(new Grammar(std::move(*rules), tokens));
}

Result<std::shared_ptr<Grammar>> Grammar::compile(const Envelope& envelope, const TokenBytes& tokens) {
  VERGE_ASSIGN(rules, compile_envelope(envelope));
  return std::shared_ptr<Grammar>(new Grammar(std::move(rules), tokens));
}

std::string Envelope::key() const {
  std::string out;
  const auto put = [&out](std::string_view text) { (out += std::to_string(text.size()) + ":") += text; };
  const auto put_all = [&out](const std::vector<uint32_t>& list) {
    for (uint32_t i : list) out += std::to_string(i) + ",";
    out += ";";
  };
  put_all(first);
  for (const EnvelopePart& part : parts) {
    out += static_cast<char>('a' + static_cast<int>(part.kind));
    out += part.last ? '!' : '.';
    for (const std::string* text : {&part.text, &part.property, &part.without, &part.at}) put(*text);
    put_all(part.next);
  }
  return out;
}

std::shared_ptr<const Mask> Grammar::mask(const Matcher& at) {
  const std::lock_guard lock(mutex_);
  if (!at.begins_text)
    if (const auto it = masks_.find(at.position.place); it != masks_.end()) return it->second;
  Fill fill{*this, at.position, Mask(tokens_->words(), 0)};
  fill.make(at.begins_text);
  auto mask = std::make_shared<const Mask>(std::move(fill.mask));
  if (!fill.read_text && !at.begins_text) {
    masks_.emplace(at.position.place, mask);
    mask_bytes_ += mask->size() * 4 + 64;
  }
  if (mask_bytes_ + machine_.step_bytes() > bounds::kCacheBytes) {
    masks_.clear();
    strings_.clear();
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

bool Grammar::worn() {
  const std::lock_guard lock(mutex_);
  return machine_.bytes() > bounds::kGrammarBytes;
}

bool Grammar::complete(const Matcher& at) {
  const std::lock_guard lock(mutex_);
  return machine_.complete(at.position.place);
}

}  // namespace verge::engine::grammar
