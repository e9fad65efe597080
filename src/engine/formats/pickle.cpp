// Source of the opcodes: CPython's pickletools.py (protocols 0 to 5; those that torch's picklers write).
#include "engine/formats/pickle.h"

#include <cstring>

#include "support/limits.h"

namespace verge::engine {
namespace {

using Kind = PickleValue::Kind;

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  Result<Pickle> run() {
    for (;;) {
      const uint8_t code = take();
      if (short_) return fail(Code::LoadFailed, "{}: the pickle ends early (truncated?)", path_);
      if (code == '.') break;
      if (!step(code)) {
        if (short_) return fail(Code::LoadFailed, "{}: the pickle ends early (truncated?)", path_);
        return fail(Code::LoadFailed, "{}: not a checkpoint of tensors: pickle opcode {:#x} at byte {} is {}", path_, code, at_ - 1,
                    full_ ? "one value too many" : "not expected");
      }
    }
    if (stack_.empty()) return fail(Code::LoadFailed, "{}: the pickle holds nothing", path_);
    pickle_.root = stack_.back();
    pickle_.end = at_;
    return std::move(pickle_);
  }

 private:
  uint8_t take() {
    if (at_ < bytes_.size()) return static_cast<uint8_t>(bytes_[at_++]);
    short_ = true;
    return 0;
  }
  uint64_t number(int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; ++i) value |= uint64_t{take()} << (8 * i);
    return value;
  }
  std::string_view text(uint64_t count) {
    if (count > bytes_.size() - at_) {
      short_ = true;
      return {};
    }
    const std::string_view view(reinterpret_cast<const char*>(bytes_.data()) + at_, static_cast<size_t>(count));
    at_ += static_cast<size_t>(count);
    return view;
  }
  std::string_view line() {
    const char* data = reinterpret_cast<const char*>(bytes_.data()) + at_;
    const void* end = std::memchr(data, '\n', bytes_.size() - at_);
    if (!end) {
      short_ = true;
      return {};
    }
    const auto length = static_cast<size_t>(static_cast<const char*>(end) - data);
    at_ += length + 1;
    return {data, length};
  }

  bool push(PickleValue value) {
    if (pickle_.values.size() >= limits::kPickleValues) return !(full_ = true);
    stack_.push_back(static_cast<uint32_t>(pickle_.values.size()));
    pickle_.values.push_back(std::move(value));
    return true;
  }
  bool push(Kind kind, int64_t number = 0, std::string_view text = {}) { return push(PickleValue{kind, number, text, {}}); }

  // Values above the last mark, which go with it.
  bool take_marked(std::vector<uint32_t>* items) {
    if (marks_.empty()) return false;
    const size_t from = marks_.back();
    marks_.pop_back();
    if (from > stack_.size()) return false;
    items->assign(stack_.begin() + static_cast<std::ptrdiff_t>(from), stack_.end());
    stack_.resize(from);
    return true;
  }
  // Values on the stack that no mark protects.
  bool holds(size_t count) const { return stack_.size() >= (marks_.empty() ? 0 : marks_.back()) + count; }
  bool take_top(size_t count, std::vector<uint32_t>* items) {
    if (!holds(count)) return false;
    items->assign(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return true;
  }
  bool tuple(size_t count) {
    std::vector<uint32_t> items;
    return take_top(count, &items) && push(PickleValue{Kind::Tuple, 0, {}, std::move(items)});
  }
  bool add_to_top(const std::vector<uint32_t>& items, Kind kind, size_t multiple) {
    if (!holds(1) || items.size() % multiple != 0) return false;
    PickleValue& target = pickle_.values[stack_.back()];
    if (target.kind == Kind::Opaque || target.kind == Kind::Call) return true;  // an object's own container
    if (target.kind != kind) return false;
    if (pickle_.values.size() + (held_ += items.size()) > limits::kPickleValues) return !(full_ = true);
    target.items.insert(target.items.end(), items.begin(), items.end());
    return true;
  }
  bool put(uint64_t index) {
    if (!holds(1) || index > limits::kPickleValues) return false;
    if (index >= memo_.size()) memo_.resize(static_cast<size_t>(index) + 1, kEmpty);
    memo_[static_cast<size_t>(index)] = stack_.back();
    return true;
  }
  bool get(uint64_t index) {
    if (index >= memo_.size() || memo_[static_cast<size_t>(index)] == kEmpty || stack_.size() > limits::kPickleValues) return false;
    stack_.push_back(memo_[static_cast<size_t>(index)]);
    return true;
  }
  // "OrderedDict()" is a dict; anything else is kept as a call that nobody makes.
  bool call() {
    std::vector<uint32_t> items;
    if (!take_top(2, &items)) return false;
    const PickleValue& callee = pickle_.values[items[0]];
    if (callee.kind != Kind::Global) return push(Kind::Opaque);
    if (callee.text == "collections\nOrderedDict") return push(Kind::Dict);
    return push(PickleValue{Kind::Call, 0, {}, std::move(items)});
  }
  bool stack_global() {
    std::vector<uint32_t> items;
    if (!take_top(2, &items)) return false;
    const PickleValue &module = pickle_.values[items[0]], &name = pickle_.values[items[1]];
    if (module.kind != Kind::Text || name.kind != Kind::Text) return false;
    return push(Kind::Opaque);  // torch's picklers write GLOBAL; others' objects are of no interest
  }
  bool long_number(uint64_t bytes) {
    const std::string_view digits = text(bytes);
    if (short_) return false;
    if (digits.size() > 8) return push(Kind::Opaque);
    uint64_t value = digits.empty() || !(digits.back() & 0x80) ? 0 : ~uint64_t{0};
    if (!digits.empty()) std::memcpy(&value, digits.data(), digits.size());
    return push(Kind::Int, static_cast<int64_t>(value));
  }
  bool global() {
    const size_t from = at_;
    (void)line(), (void)line();
    if (short_) return false;
    return push(Kind::Global, 0, std::string_view(reinterpret_cast<const char*>(bytes_.data()) + from, at_ - from - 1));
  }

  bool step(uint8_t code) {
    std::vector<uint32_t> items;
    switch (code) {
      case 0x80: return take() <= 5;                                                       // PROTO
      case 0x95: return (void)number(8), true;                                             // FRAME
      case '(': return marks_.push_back(stack_.size()), marks_.size() < limits::kPickleValues;  // MARK
      case '0': return take_top(1, &items);                                                // POP
      case '1': return take_marked(&items);                                                // POP_MARK
      case '2': return holds(1) && (stack_.push_back(stack_.back()), stack_.size() < limits::kPickleValues);  // DUP
      case 'N': return push(Kind::None);
      case 0x88: return push(Kind::Bool, 1);
      case 0x89: return push(Kind::Bool, 0);
      case 'K': return push(Kind::Int, take());
      case 'M': return push(Kind::Int, static_cast<int64_t>(number(2)));
      case 'J': return push(Kind::Int, static_cast<int32_t>(number(4)));
      case 0x8a: return long_number(take());                                               // LONG1
      case 0x8b: return long_number(number(4));                                            // LONG4
      case 'G': return (void)number(8), push(Kind::Float);                                 // no float is of interest
      case 'X': return push(Kind::Text, 0, text(number(4)));                               // BINUNICODE
      case 0x8c: return push(Kind::Text, 0, text(take()));                                 // SHORT_BINUNICODE
      case 0x8d: return push(Kind::Text, 0, text(number(8)));                              // BINUNICODE8
      case 'U': return push(Kind::Text, 0, text(take()));                                  // SHORT_BINSTRING
      case 'T': return push(Kind::Text, 0, text(number(4)));                               // BINSTRING
      case 'C': return (void)text(take()), push(Kind::Opaque);                             // SHORT_BINBYTES
      case 'B': return (void)text(number(4)), push(Kind::Opaque);                          // BINBYTES
      case ')': return push(Kind::Tuple);
      case 't': return take_marked(&items) && push(PickleValue{Kind::Tuple, 0, {}, std::move(items)});
      case 0x85: return tuple(1);
      case 0x86: return tuple(2);
      case 0x87: return tuple(3);
      case ']': return push(Kind::List);
      case 'a': return take_top(1, &items) && add_to_top(items, Kind::List, 1);            // APPEND
      case 'e': return take_marked(&items) && add_to_top(items, Kind::List, 1);            // APPENDS
      case '}': return push(Kind::Dict);
      case 's': return take_top(2, &items) && add_to_top(items, Kind::Dict, 2);            // SETITEM
      case 'u': return take_marked(&items) && add_to_top(items, Kind::Dict, 2);            // SETITEMS
      case 0x8f: return push(Kind::Opaque);                                                // EMPTY_SET
      case 0x90: return take_marked(&items) && holds(1);                                   // ADDITEMS
      case 'q': return put(take());
      case 'r': return put(number(4));
      case 0x94: return put(memo_.size());                                                 // MEMOIZE
      case 'h': return get(take());
      case 'j': return get(number(4));
      case 'c': return global();
      case 0x93: return stack_global();
      case 'R': return call();
      case 0x81: return take_top(2, &items) && push(Kind::Opaque);                         // NEWOBJ
      case 'b': return take_top(1, &items) && holds(1);                                    // BUILD: an object's attributes
      case 'Q': return take_top(1, &items) && push(PickleValue{Kind::Persistent, 0, {}, std::move(items)});
      default: return false;
    }
  }

  static constexpr uint32_t kEmpty = UINT32_MAX;
  const std::span<const std::byte> bytes_;
  const std::string& path_;
  size_t at_ = 0;
  size_t held_ = 0;  // items in containers
  bool short_ = false, full_ = false;
  Pickle pickle_;
  std::vector<uint32_t> stack_, memo_;
  std::vector<size_t> marks_;
};

}  // namespace

const PickleValue* Pickle::find(const PickleValue& dict, std::string_view key) const {
  if (dict.kind != Kind::Dict) return nullptr;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& name = values[dict.items[i]];
    if (name.kind == Kind::Text && name.text == key) return &values[dict.items[i + 1]];
  }
  return nullptr;
}

Result<Pickle> parse_pickle(std::span<const std::byte> bytes, const std::string& path) { return Machine(bytes, path).run(); }

}  // namespace verge::engine
