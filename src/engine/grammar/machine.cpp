#include "engine/grammar/machine.h"

#include <algorithm>

#include "engine/grammar/bounds.h"
#include "engine/grammar/pattern.h"

namespace verge::engine::grammar {
namespace {

// White space: nothing, one space, or one line break and an indentation, by how many bytes of it are there.
constexpr uint8_t kGapOpen = 0, kGapClosed = 1, kGapBreak = 2, kGapSpace = 255;  // kGapSpace: a space only, none yet
int gap(uint8_t state, uint8_t byte) {
  if (state == kGapSpace) return byte == ' ' ? kGapClosed : -1;
  if (state == kGapOpen) return byte == ' ' ? kGapClosed : byte == '\n' ? kGapBreak : -1;
  if (state >= kGapBreak && state < kGapBreak + bounds::kIndent && (byte == ' ' || byte == '\t')) return state + 1;
  return -1;
}

// Whether the number of keys matters.
bool counts(const ObjectRule& o) { return o.most != kUnbounded || o.least > 0; }

uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ x) * 0x9E3779B97F4A7C15ull;
  return h ^ h >> 32;
}

// The characters of a JSON string's body as the lexer takes it.
std::u32string unescaped(std::string_view body) {
  std::string out;
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\' || i + 1 >= body.size()) {
      out += body[i];
      continue;
    }
    const char c = body[++i];
    static constexpr std::string_view kShort = "bfnrt", kMeans = "\b\f\n\r\t";
    if (c == 'u' && i + 4 < body.size()) {
      out += static_cast<char>(std::stoi(std::string(body.substr(i + 1, 4)), nullptr, 16));  // below 0x20
      i += 4;
    } else if (const size_t at = kShort.find(c); at != kShort.npos) {
      out += kMeans[at];
    } else {
      out += c;
    }
  }
  return code_points(out);
}

}  // namespace

Machine::Machine(std::unique_ptr<Rules> rules) : rules_(std::move(rules)), lexer_(rules_->languages) {
  intern(Frame{});
  if (rules_->kind == RootKind::Text) {
    start_ = intern(std::vector<Head>{{0, Mode::Text, 0, lexer_.start(rules_->text, false), 0}});
  } else if (rules_->kind == RootKind::Parts) {
    std::vector<Head> heads;
    for (uint32_t part : rules_->first) enter_part(part, 0, heads);
    start_ = intern(std::move(heads));
  } else {
    start_ = intern(std::vector<Head>{{0, Mode::Value, kGapClosed, 0, rules_->root}});
  }
}

void Machine::enter_part(uint32_t part, uint32_t frame, std::vector<Head>& out) {
  const PartRule& p = rules_->parts[part];
  // Each head can be ended by itself: to leave some out forbids texts and leads nowhere new.
  const int depth = frames_[frame].depth;
  if (p.need > bounds::kCalls - depth || out.size() >= bounds::kAlternatives) return;
  if (p.call != kNoCall) {
    uint32_t inner = frame;
    if (!p.ends_rule()) {
      Frame call;
      call.kind = Kind::Call;
      call.depth = static_cast<uint16_t>(depth + 1);
      call.outer = frame;
      call.position = part;
      inner = intern(call);
    }
    if (!entered_.insert({p.call, inner}).second) return;
    for (uint32_t first : rules_->calls[p.call]) enter_part(first, inner, out);
    return;
  }
  Head head;
  if (p.json) {
    Frame root;
    root.position = part;
    head = {intern(root), Mode::Value, kGapClosed, 0, p.rule};
  } else {
    head = {frame, Mode::Text, 0, lexer_.start(p.text, false), part};
  }
  if (std::find(out.begin(), out.end(), head) != out.end())
    return;  // parts that may be empty can lead to each other
  out.push_back(head);
  if (!p.json && lexer_.accepts(head.state)) leave_part(part, frame, out);
}

void Machine::leave_part(uint32_t part, uint32_t frame, std::vector<Head>& out) {
  for (;;) {
    for (uint32_t next : rules_->parts[part].next) enter_part(next, frame, out);
    if (!rules_->parts[part].last) return;
    const Frame& f = frames_[frame];
    if (f.kind != Kind::Call) break;
    part = f.position;
    frame = f.outer;
  }
  out.push_back({0, Mode::Done, 0, 0, 0});
}

uint32_t Machine::intern(const Frame& f) {
  uint64_t h = mix(mix(mix(static_cast<uint64_t>(f.kind) << 1 | f.pending, f.outer), f.rule), f.position);
  h = mix(mix(mix(h, f.count), f.unused), f.unused_raw);
  auto [from, to] = frame_ids_.equal_range(h);
  for (; from != to; ++from)
    if (frames_[from->second] == f) return from->second;
  frames_.push_back(f);
  frame_ids_.emplace(h, static_cast<uint32_t>(frames_.size() - 1));
  return static_cast<uint32_t>(frames_.size() - 1);
}

bool Machine::captures(const Head& h) const {
  if (h.mode == Mode::KeyExtra) return true;
  const Frame& f = frames_[h.frame];
  return (h.mode == Mode::String || h.mode == Mode::Raw) && f.kind == Kind::Array && rules_->arrays[f.rule].unique;
}

// Leaves the first of equal heads, in the order in which they were found: that depends on the text alone, as numbers don't.
void Machine::unify(std::vector<Head>& heads) {
  if (heads.size() < 2) return;
  std::vector<uint32_t> order(heads.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return heads[a] != heads[b] ? heads[a] < heads[b] : a < b; });
  order.erase(std::unique(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return heads[a] == heads[b]; }), order.end());
  if (order.size() == heads.size()) return;
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < order.size(); ++i) heads[i] = heads[order[i]];
  heads.resize(order.size());
}

// Heads that `heads` lead to. Where branches of a schema lead into each other, they would double with each array or object that
// opens. Each head can be ended by itself, so that leaving some out forbids texts, and neither admits one nor leads nowhere.
std::vector<Machine::Head> Machine::moved(const std::vector<Head>& heads, uint8_t byte, const std::string* text) {
  const size_t most = std::max(heads.size(), heads.size() <= 4 ? bounds::kAlternatives : bounds::kHeads);
  std::vector<Head> out;
  entered_.clear();
  for (const Head& h : heads) {
    move(h, byte, text, out);
    if (out.size() <= most) continue;
    unify(out);
    if (out.size() < most) continue;
    out.resize(most);
    break;
  }
  return out;
}

int32_t Machine::intern(std::vector<Head> heads) {
  if (heads.empty()) return kDead;
  unify(heads);
  uint64_t h = heads.size();
  for (const Head& x : heads)
    h = mix(mix(mix(h, uint64_t{x.frame} << 16 | static_cast<uint64_t>(x.mode) << 8 | x.gap), x.state), x.extra);
  auto [from, to] = place_ids_.equal_range(h);
  for (; from != to; ++from)
    if (places_[from->second].heads == heads) return from->second;
  Place p;
  p.in_string = p.in_escape = true;
  for (const Head& x : heads) {
    const bool ends = x.mode == Mode::Text
                          ? rules_->kind == RootKind::Text
                          : x.mode == Mode::Raw && frames_[x.frame].kind == Kind::Root &&
                                (rules_->kind != RootKind::Parts ||
                                 rules_->parts[frames_[x.frame].position].last);
    p.complete |= x.mode == Mode::Done || (ends && lexer_.accepts(x.state));
    const bool body = x.mode == Mode::String || x.mode == Mode::KeyExtra || x.mode == Mode::KeyDeclared;
    p.in_string &= body && lexer_.between(x.state);
    p.in_escape &= body && lexer_.escaping(x.state);
    p.captures |= captures(x);
    p.pending |= frames_[x.frame].pending;
    p.commits |= (x.mode == Mode::After && frames_[x.frame].pending) || (x.mode == Mode::Raw && captures(x));
  }
  p.plain = heads.size() == 1 && p.in_string && heads[0].mode != Mode::KeyDeclared && lexer_.plain(heads[0].state);
  p.heads = std::move(heads);
  places_.push_back(std::move(p));
  place_ids_.emplace(h, static_cast<int32_t>(places_.size() - 1));
  return static_cast<int32_t>(places_.size() - 1);
}

int32_t Machine::step_new(int32_t place, uint8_t byte) {
  const std::vector<Head> heads = places_[place].heads;
  const int32_t to = intern(moved(heads, byte, nullptr));
  std::unique_ptr<Table>& table = places_[place].next;
  if (!table) {
    table = std::make_unique<Table>();
    table->fill(kUnknown);
    ++tables_;
  }
  return (*table)[byte] = to;
}

void Machine::forget_steps() {
  for (Place& p : places_) p.next.reset();
  tables_ = 0;
}

bool Machine::advance(Position& at, uint8_t byte) {
  int32_t to;
  if (needs_text(at.place, byte)) {
    const std::vector<Head> heads = places_[at.place].heads;
    to = intern(moved(heads, byte, &at.captured));
  } else {
    to = step(at.place, byte);
  }
  if (to == kDead) return false;
  const bool before = places_[at.place].captures, now = places_[to].captures;
  if (now) {
    if (!before) at.captured.clear();
    if (before || byte != '"') at.captured += static_cast<char>(byte);
  } else if (before && places_[to].pending) {
    std::vector<Head> heads = places_[to].heads;
    for (Head& h : heads) h.frame = commit(h.frame, at.captured, false);
    to = intern(std::move(heads));
    at.captured.clear();
  }
  at.place = to;
  return true;
}

std::vector<Machine::Part> Machine::parts(int32_t place) {
  const std::vector<Head> heads = places_[place].heads;
  std::vector<Part> out;
  for (const Head& h : heads) {
    Part part{intern(std::vector<Head>{h}), -1, kDead};
    if (h.mode != Mode::KeyDeclared) {
      Head open = h;
      open.state = lexer_.start(Languages::kAll, true);
      part.state = h.state;
      part.closed = step(intern(std::vector<Head>{open}), '"');
    }
    out.push_back(part);
  }
  return out;
}

// The frame once it knows of the key or item that was written.
uint32_t Machine::commit(uint32_t id, std::string_view text, bool raw) {
  Frame f = frames_[id];
  if (!f.pending) return id;
  Languages& l = rules_->languages;
  f.pending = false;
  if (raw) f.unused_raw = l.both(f.unused_raw, l.inverse(l.text(code_points(text))));
  else f.unused = l.both(f.unused, l.inverse(l.text(unescaped(text))));
  return intern(f);
}

void Machine::move(const Head& h, uint8_t byte, const std::string* text, std::vector<Head>& out) {
  const int wider = h.mode == Mode::Value || h.mode == Mode::ObjectFirst || h.mode == Mode::ObjectNext || h.mode == Mode::After ||
                            h.mode == Mode::ArrayFirst
                        ? gap(h.gap, byte)
                        : -1;
  if (wider >= 0) {
    if (h.mode == Mode::After && !can_close(frames_[h.frame])) return;  // nothing but the end may follow the space
    Head next = h;
    next.gap = static_cast<uint8_t>(wider);
    out.push_back(next);
    return;
  }
  switch (h.mode) {
    case Mode::Value: return value(h, byte, out);
    case Mode::Text: {
      const int32_t to = lexer_.step(h.state, byte);
      if (to < 0) return;
      out.push_back({h.frame, h.mode, 0, static_cast<uint32_t>(to), h.extra});
      if (rules_->kind == RootKind::Parts && lexer_.accepts(static_cast<uint32_t>(to)))
        leave_part(h.extra, h.frame, out);
      return;
    }
    case Mode::String: {
      if (byte == '"' && lexer_.accepts(h.state)) {
        Frame f = frames_[h.frame];
        f.pending = captures(h);
        return after_value(f.pending ? intern(f) : h.frame, out);
      }
      const int32_t to = lexer_.step(h.state, byte);
      if (to >= 0) out.push_back({h.frame, h.mode, 0, static_cast<uint32_t>(to), 0});
      return;
    }
    case Mode::Raw: {
      const int32_t to = lexer_.step(h.state, byte);
      if (to >= 0) out.push_back({h.frame, h.mode, 0, static_cast<uint32_t>(to), 0});
      if (!lexer_.accepts(h.state)) return;
      uint32_t frame = h.frame;
      if (captures(h) && byte == ',') {
        if (!text) return;  // told by the bytes that were captured, see needs_text()
        Frame f = frames_[frame];
        f.pending = true;
        frame = commit(intern(f), *text, true);
      }
      std::vector<Head> ended;
      after_value(frame, ended);
      for (const Head& e : ended)
        if (e.mode != Mode::Done) move(e, byte, nullptr, out);
      return;
    }
    case Mode::KeyDeclared: {
      if (byte == '"' && lexer_.accepts(h.state)) {
        Frame f = frames_[h.frame];
        const uint32_t property = declared_words(f).properties[static_cast<size_t>(std::max(rules_->languages.word(lexer_.set(h.state)), 0))];
        const ObjectRule& o = rules_->objects[f.rule];
        const uint32_t rule = o.properties[property].rule;
        f.position = o.any_order ? take(f.position, property) : property + 1;
        f.count += counts(o);
        out.push_back({intern(f), Mode::Colon, 0, 0, rule});
        return;
      }
      const int32_t to = lexer_.step(h.state, byte);
      if (to >= 0) out.push_back({h.frame, h.mode, 0, static_cast<uint32_t>(to), 0});
      return;
    }
    case Mode::KeyExtra: {
      if (byte == '"' && lexer_.accepts(h.state)) {
        Frame f = frames_[h.frame];
        const ObjectRule& o = rules_->objects[f.rule];
        f.position = o.any_order ? take(f.position, kExtra) : static_cast<uint32_t>(o.properties.size()) + 1;
        ++f.count;
        f.pending = true;
        out.push_back({intern(f), Mode::Colon, 0, 0, o.extras[h.extra].rule});
        return;
      }
      const int32_t to = lexer_.step(h.state, byte);
      if (to >= 0) out.push_back({h.frame, h.mode, 0, static_cast<uint32_t>(to), h.extra});
      return;
    }
    case Mode::Colon:
      if (byte == ':') out.push_back({h.frame, Mode::Value, kGapSpace, 0, h.extra});
      return;
    case Mode::ObjectFirst:
    case Mode::ObjectNext: {
      if (byte == '"') return keys(h.frame, out);
      const Frame f = frames_[h.frame];
      if (byte == '}' && h.mode == Mode::ObjectFirst && can_close(f)) after_value(f.outer, out);
      return;
    }
    case Mode::ArrayFirst: {
      const Frame f = frames_[h.frame];
      if (byte == ']' && can_close(f)) after_value(f.outer, out);
      return;
    }
    case Mode::After: {
      const Frame f = frames_[h.frame];
      if (byte == ',') {
        if (h.gap != kGapOpen) return;
        uint32_t frame = h.frame;
        if (f.pending) {
          if (!text) return;
          frame = commit(frame, *text, false);
        }
        if (f.kind == Kind::Array) return items(frame, kGapOpen, out);
        std::vector<Head> next;
        keys(frame, next);
        if (!next.empty()) out.push_back({frame, Mode::ObjectNext, kGapOpen, 0, 0});
        return;
      }
      if (byte == (f.kind == Kind::Array ? ']' : '}') && can_close(f)) after_value(f.outer, out);
      return;
    }
    case Mode::Done: return;
  }
}

void Machine::value(const Head& h, uint8_t byte, std::vector<Head>& out) {
  const Frame f = frames_[h.frame];
  const Rule& r = rules_->rules[h.extra];
  Languages& l = rules_->languages;
  const bool unique = f.kind == Kind::Array && rules_->arrays[f.rule].unique;
  if (byte == '"') {
    const Lang set = unique ? l.both(rules_->arrays[f.rule].unique_string, f.unused) : r.string;
    if (set != Languages::kNone && l.live(set)) out.push_back({h.frame, Mode::String, 0, lexer_.start(set, true), 0});
    return;
  }
  const int room = bounds::kDepth - f.depth;
  if (byte == '{') {
    for (uint32_t i : r.objects) {
      if (rules_->objects[i].height > room) continue;
      Frame inner;
      inner.kind = Kind::Object;
      inner.depth = static_cast<uint16_t>(f.depth + 1);
      inner.outer = h.frame;
      inner.rule = i;
      out.push_back({intern(inner), Mode::ObjectFirst, kGapOpen, 0, 0});
    }
    return;
  }
  if (byte == '[') {
    for (uint32_t i : r.arrays) {
      if (rules_->arrays[i].height > room) continue;
      Frame inner;
      inner.kind = Kind::Array;
      inner.depth = static_cast<uint16_t>(f.depth + 1);
      inner.outer = h.frame;
      inner.rule = i;
      const uint32_t id = intern(inner);
      if (can_close(inner)) out.push_back({id, Mode::ArrayFirst, kGapOpen, 0, 0});
      items(id, kGapOpen, out);
    }
    return;
  }
  const Lang set = unique ? l.both(rules_->arrays[f.rule].unique_raw, f.unused_raw) : r.raw;
  if (set == Languages::kNone) return;
  if (unique && !l.live(set)) return;
  const int32_t to = lexer_.step(lexer_.start(set, false), byte);
  if (to >= 0) out.push_back({h.frame, Mode::Raw, 0, static_cast<uint32_t>(to), 0});
}

void Machine::after_value(uint32_t frame, std::vector<Head>& out) {
  if (frames_[frame].kind == Kind::Root && rules_->kind == RootKind::Parts)
    return leave_part(frames_[frame].position, 0, out);
  if (frames_[frame].kind == Kind::Root) out.push_back({frame, Mode::Done, 0, 0, 0});
  else out.push_back({frame, Mode::After, kGapOpen, 0, 0});
}

bool Machine::fits(uint32_t rule, const Frame& f) const { return rule != kNoRule && rules_->rules[rule].height <= bounds::kDepth - f.depth; }

// An array of so many items, so many of them counted, can be ended, with or without more of them.
bool Machine::array_can_end(const ArrayRule& a, uint32_t position, uint32_t counted) const {
  if (counted > a.most_counted || position > a.most) return false;
  uint32_t wanted = a.least_counted > counted ? a.least_counted - counted : 0;
  uint32_t at = position;
  for (; at < a.prefix.size() && (at < a.least || wanted > 0); ++at) {
    if (at >= a.most) return false;
    const bool in = a.contains && a.prefix_counted[at] != kNoRule && counted < a.most_counted, out = a.prefix[at] != kNoRule;
    if (in && (wanted > 0 || !out)) counted += 1, wanted -= wanted > 0;
    else if (!out) return false;
  }
  const uint32_t missing = std::max(a.least > at ? a.least - at : 0, wanted);
  if (missing == 0) return true;
  if (missing > a.most - at && a.most != kUnbounded) return false;
  if (wanted > 0 && a.rest_counted == kNoRule) return false;
  if (missing > wanted && a.rest == kNoRule)
    return a.contains && a.rest_counted != kNoRule && (a.most_counted == kUnbounded || missing <= a.most_counted - counted);
  return true;
}

bool Machine::item_possible(const ArrayRule& a, const Frame& f) {
  if (f.position >= a.most) return false;
  if (!a.unique) return true;
  Languages& l = rules_->languages;
  return f.position < bounds::kRemembered && (l.live(l.both(a.unique_string, f.unused)) || l.live(l.both(a.unique_raw, f.unused_raw)));
}

void Machine::items(uint32_t frame, uint8_t gap, std::vector<Head>& out) {
  const Frame f = frames_[frame];
  const ArrayRule& a = rules_->arrays[f.rule];
  if (!item_possible(a, f)) return;
  Frame next = f;
  next.position = f.position + 1;
  if (a.most == kUnbounded && !a.unique)  // past what is told apart, all positions are one
    next.position = std::min(next.position, std::max<uint32_t>(static_cast<uint32_t>(a.prefix.size()), a.least) + 1);
  const bool in_prefix = f.position < a.prefix.size();
  const auto take = [&](uint32_t rule, uint32_t counted) {
    if (!fits(rule, f) || !array_can_end(a, next.position, counted)) return;
    next.count = a.most_counted == kUnbounded ? std::min(counted, a.least_counted) : counted;
    out.push_back({intern(next), Mode::Value, gap, 0, rule});
  };
  take(in_prefix ? a.prefix[f.position] : a.rest, f.count);
  if (a.contains) take(in_prefix ? a.prefix_counted[f.position] : a.rest_counted, f.count + 1);
}

bool Machine::can_close(const Frame& f) {
  if (f.kind == Kind::Array) {
    const ArrayRule& a = rules_->arrays[f.rule];
    return f.position >= a.least && f.count >= a.least_counted && f.count <= a.most_counted;
  }
  const ObjectRule& o = rules_->objects[f.rule];
  const Left rest = left(o, f);
  if (o.least_extras > 0 && !rest.extra_had) return false;
  return rest.required == 0 && f.count >= o.least && f.count <= o.most;
}

uint32_t Machine::take(uint32_t taken, uint32_t property) {
  std::vector<uint32_t> set = taken_[taken];
  const auto at = std::lower_bound(set.begin(), set.end(), property);
  if (at == set.end() || *at != property) set.insert(at, property);
  const auto [it, fresh] = taken_ids_.try_emplace(std::move(set), static_cast<uint32_t>(taken_.size()));
  if (fresh) taken_.push_back(it->first);
  return it->second;
}

Machine::Left Machine::left(const ObjectRule& o, const Frame& f) const {
  const auto size = static_cast<uint32_t>(o.properties.size());
  if (!o.any_order) {
    const uint32_t at = std::min(f.position, size);
    return {o.required_from[at], o.open_from[at], f.position > size};
  }
  const std::vector<uint32_t>& set = taken_[f.position];
  Left out{o.required_from[0], o.open_from[0], !set.empty() && set.back() == kExtra};
  for (uint32_t i : set) {
    if (i == kExtra) continue;
    --out.open;
    out.required -= o.properties[i].required;
  }
  return out;
}

// The declared keys that may come next.
const Machine::Declared& Machine::declared_words(const Frame& f) {
  const ObjectRule& o = rules_->objects[f.rule];
  const int room = bounds::kDepth - f.depth;
  const uint32_t tight = o.highest > room ? static_cast<uint32_t>(room) + 1 : 0;
  const std::array<uint32_t, 4> id{f.rule, f.position, counts(o) ? f.count : 0, tight};
  if (const auto it = declared_.find(id); it != declared_.end()) return it->second;
  Declared d;
  std::vector<std::pair<std::u32string, uint32_t>> names;
  const bool extras = !o.extras.empty() && o.endless;
  const Left rest = left(o, f);
  const uint32_t extra_wanted = o.least_extras > 0 && !rest.extra_had ? 1 : 0;
  const std::vector<uint32_t> taken = o.any_order ? taken_[f.position] : std::vector<uint32_t>{};
  for (uint32_t i = o.any_order ? 0 : f.position; i < o.properties.size(); ++i) {
    const auto& p = o.properties[i];
    if (o.any_order && std::binary_search(taken.begin(), taken.end(), i)) continue;
    // What must, and what may, come behind it.
    const uint32_t after = (o.any_order ? rest.required - p.required : o.required_from[i + 1]) + extra_wanted;
    const uint32_t open = o.any_order ? rest.open - 1 : o.open_from[i + 1];
    const bool room_for = o.most == kUnbounded || f.count + 1 + after <= o.most;
    const bool enough = extras || f.count + 1 + open >= o.least;
    if (room_for && enough && fits(p.rule, f)) names.emplace_back(p.name, i);
    if (p.required && !o.any_order) break;
  }
  std::sort(names.begin(), names.end());
  std::vector<std::u32string> words;
  for (auto& [name, i] : names) {
    d.properties.push_back(i);
    words.push_back(std::move(name));
  }
  d.words = rules_->languages.words(std::move(words));
  return declared_.emplace(id, std::move(d)).first->second;
}

void Machine::keys(uint32_t frame, std::vector<Head>& out) {
  const Frame f = frames_[frame];
  const ObjectRule& o = rules_->objects[f.rule];
  if (const Lang words = declared_words(f).words; words != Languages::kNone)
    out.push_back({frame, Mode::KeyDeclared, 0, lexer_.start(words, true), 0});
  const Left rest = left(o, f);
  if (rest.required > 0 && !o.any_order) return;
  if (o.most != kUnbounded && f.count + 1 + rest.required > o.most) return;
  if (!o.endless && f.count + 1 + (o.any_order ? rest.open : 0) < o.least) return;
  if (f.count >= bounds::kRemembered + o.properties.size()) return;
  Languages& l = rules_->languages;
  for (uint32_t i = 0; i < o.extras.size(); ++i) {
    if (!fits(o.extras[i].rule, f)) continue;
    const Lang set = l.both(o.extras[i].keys, f.unused);
    if (l.live(set)) out.push_back({frame, Mode::KeyExtra, 0, lexer_.start(set, true), i});
  }
}

}  // namespace verge::engine::grammar
