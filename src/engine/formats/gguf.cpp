// The reader trusts nothing in the file. A cursor hands out numbers and strings only while the bytes for
// them are there; counts are compared with support/limits.h and with the bytes that are left before anything
// is allocated, so memory stays within a small multiple of the file's size; every tensor's place is computed
// with overflow-checked arithmetic and must lie inside the file and apart from all others.
//
// Layout: magic, version, tensor count, metadata count; metadata (key, type, value)…; tensor infos (name, dimensions,
// type, offset)…; padding to `general.alignment`; the tensors' data, offsets relative to its start.
// Source: docs/gguf.md of ggml.
#include "engine/formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/formats/config_json.h"
#include "engine/formats/ggml_types.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/quantized.h"
#include "engine/formats/shape_check.h"
#include "engine/formats/stop_ids.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"

// Metadata value types, by their number in the file.
enum class Kind : uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

// Bytes of one value; a string needs at least its length.
constexpr uint64_t kKindBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& path, ModelFile* file) : bytes_(bytes), path_(path), file_(file) {}

  Result<> parse() {
    uint64_t tensors = 0, values = 0;
    VERGE_TRY(header(&tensors, &values));
    for (uint64_t i = 0; i < values; ++i) VERGE_TRY(metadata());
    VERGE_TRY(read_alignment());
    for (uint64_t i = 0; i < tensors; ++i) VERGE_TRY(tensor_info());
    return place_tensors();
  }

 private:
  struct Pending {
    std::string name;
    TensorView view;
    uint64_t offset = 0;
  };

  uint64_t left() const { return bytes_.size() - at_; }

  template <class T>
  Result<T> number(const char* what) {
    if (left() < sizeof(T)) return fail(Code::LoadFailed, "{}: truncated: the file ends at byte {} inside {}", path_, bytes_.size(), what);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  // A view into the file: nothing is copied before the length is known to be right.
  Result<std::string_view> string(const char* what, uint64_t limit) {
    VERGE_ASSIGN(length, number<uint64_t>(what));
    if (length > limit) return fail(Code::LoadFailed, "{}: {} of {} bytes at byte {}, limit {}", path_, what, length, at_ - 8, limit);
    if (length > left()) {
      return fail(Code::LoadFailed, "{}: truncated: {} of {} bytes at byte {} goes past the end", path_, what, length, at_ - 8);
    }
    std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return text;
  }

  // Keys are ASCII by the format's definition and names are in practice; both go into messages.
  Result<std::string> name(const char* what, uint64_t limit) {
    const size_t start = at_;
    VERGE_ASSIGN(text, string(what, limit));
    const bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c >= 32 && c < 127; });
    if (text.empty() || !printable) return fail(Code::LoadFailed, "{}: {} at byte {} is empty or not printable ASCII", path_, what, start);
    return std::string(text);
  }

  Result<> header(uint64_t* tensors, uint64_t* values) {
    VERGE_ASSIGN(magic, number<uint32_t>("the magic number"));
    if (magic != kMagic) return fail(Code::LoadFailed, "{}: not a GGUF file", path_);
    VERGE_ASSIGN(version, number<uint32_t>("the version"));
    if (version != 0 && (version & 0xffff) == 0) return fail(Code::LoadFailed, "{}: big-endian GGUF is not supported", path_);
    if (version != 2 && version != 3) return fail(Code::LoadFailed, "{}: GGUF version {} is not supported (2 and 3 are)", path_, version);
    VERGE_ASSIGN(tensor_count, number<uint64_t>("the tensor count"));
    VERGE_ASSIGN(value_count, number<uint64_t>("the metadata count"));
    if (tensor_count > limits::kTensorCount) return fail(Code::LoadFailed, "{}: claims {} tensors, limit {}", path_, tensor_count, limits::kTensorCount);
    if (value_count > limits::kMetadataCount) {
      return fail(Code::LoadFailed, "{}: claims {} metadata values, limit {}", path_, value_count, limits::kMetadataCount);
    }
    *tensors = tensor_count;
    *values = value_count;
    return {};
  }

  Result<> metadata() {
    VERGE_ASSIGN(key, name("a metadata key", limits::kMetadataKeyBytes));
    VERGE_ASSIGN(kind, number<uint32_t>("a metadata type"));
    if (kind > static_cast<uint32_t>(Kind::F64)) return fail(Code::LoadFailed, "{}: metadata '{}' has unknown type {}", path_, key, kind);
    VERGE_ASSIGN(value, read_value(static_cast<Kind>(kind), key));
    // NaN and infinities are no value at all, as in the folders that converters read them from.
    if (const double* real = std::get_if<double>(&value); real && !std::isfinite(*real)) return {};
    if (!file_->meta.emplace(key, std::move(value)).second) return fail(Code::LoadFailed, "{}: metadata key '{}' appears twice", path_, key);
    return {};
  }

  Result<MetaValue> read_value(Kind kind, const std::string& key) {
    switch (kind) {
      case Kind::Array: return read_array(key);
      case Kind::String: {
        VERGE_ASSIGN(text, string("a metadata string", limits::kMetadataStringBytes));
        return MetaValue(std::string(without_byte_order_mark(text)));
      }
      case Kind::F32:
      case Kind::F64: {
        VERGE_ASSIGN(value, real(kind));
        return MetaValue(value);
      }
      case Kind::Bool: {
        VERGE_ASSIGN(value, number<uint8_t>("a metadata value"));
        if (value > 1) return fail(Code::LoadFailed, "{}: metadata '{}' is a boolean of value {}", path_, key, value);
        return MetaValue(value == 1);
      }
      default: {
        VERGE_ASSIGN(value, integer(kind, key));
        return MetaValue(value);
      }
    }
  }

  Result<double> real(Kind kind) {
    if (kind == Kind::F64) return number<double>("a metadata value");
    VERGE_ASSIGN(value, number<float>("a metadata value"));
    return static_cast<double>(value);
  }

  template <class T>
  Result<int64_t> widened() {
    VERGE_ASSIGN(value, number<T>("a metadata value"));
    return static_cast<int64_t>(value);
  }

  Result<int64_t> integer(Kind kind, const std::string& key) {
    switch (kind) {
      case Kind::U8:
      case Kind::Bool: return widened<uint8_t>();
      case Kind::I8: return widened<int8_t>();
      case Kind::U16: return widened<uint16_t>();
      case Kind::I16: return widened<int16_t>();
      case Kind::U32: return widened<uint32_t>();
      case Kind::I32: return widened<int32_t>();
      case Kind::I64: return widened<int64_t>();
      default: break;
    }
    VERGE_ASSIGN(value, number<uint64_t>("a metadata value"));
    if (value > static_cast<uint64_t>(INT64_MAX)) return fail(Code::LoadFailed, "{}: metadata '{}' holds {}, too large", path_, key, value);
    return static_cast<int64_t>(value);
  }

  Result<MetaValue> read_array(const std::string& key) {
    VERGE_ASSIGN(kind_number, number<uint32_t>("a metadata array's type"));
    VERGE_ASSIGN(count, number<uint64_t>("a metadata array's length"));
    if (kind_number > static_cast<uint32_t>(Kind::F64)) return fail(Code::LoadFailed, "{}: metadata '{}' has unknown type {}", path_, key, kind_number);
    const Kind kind = static_cast<Kind>(kind_number);
    if (kind == Kind::Array) return fail(Code::LoadFailed, "{}: metadata '{}' is an array of arrays, which is not supported", path_, key);
    if (count > limits::kMetadataArrayItems) {
      return fail(Code::LoadFailed, "{}: metadata '{}' claims {} items, limit {}", path_, key, count, limits::kMetadataArrayItems);
    }
    if (count > left() / kKindBytes[kind_number]) return fail(Code::LoadFailed, "{}: truncated: metadata '{}' claims {} items past the end", path_, key, count);
    if (kind == Kind::String) {
      std::vector<std::string> items;
      items.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        VERGE_ASSIGN(text, string("a metadata string", limits::kMetadataStringBytes));
        items.emplace_back(text);
      }
      return MetaValue(std::move(items));
    }
    if (kind == Kind::F32 || kind == Kind::F64) {
      std::vector<double> items;
      items.reserve(count);
      for (uint64_t i = 0; i < count; ++i) {
        VERGE_ASSIGN(value, real(kind));
        items.push_back(value);
      }
      return MetaValue(std::move(items));
    }
    std::vector<int64_t> items;
    items.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      VERGE_ASSIGN(value, integer(kind, key));
      items.push_back(value);
    }
    return MetaValue(std::move(items));
  }

  Result<> read_alignment() {
    auto it = file_->meta.find("general.alignment");
    if (it == file_->meta.end()) return {};
    const int64_t value = file_->integer("general.alignment").value_or(0);
    // A multiple of 8 by the format's definition.
    const bool power_of_two = value > 0 && (value & (value - 1)) == 0;
    if (!power_of_two || value < 8 || value > static_cast<int64_t>(limits::kGgufAlignment)) {
      return fail(Code::LoadFailed, "{}: general.alignment must be a power of two from 8 to {}", path_, limits::kGgufAlignment);
    }
    alignment_ = static_cast<uint64_t>(value);
    return {};
  }

  Result<> tensor_info() {
    Pending tensor;
    VERGE_ASSIGN(tensor_name, name("a tensor name", limits::kTensorNameBytes));
    tensor.name = std::move(tensor_name);
    VERGE_ASSIGN(rank, number<uint32_t>("a tensor's rank"));
    if (rank < 1 || rank > static_cast<uint32_t>(limits::kTensorDims)) {
      return fail(Code::LoadFailed, "{}: tensor '{}' has {} dimensions, allowed are 1 to {}", path_, tensor.name, rank, limits::kTensorDims);
    }
    uint64_t dims[limits::kTensorDims];
    for (uint32_t i = 0; i < rank; ++i) {  // the file's order is fastest first
      VERGE_ASSIGN(dim, number<uint64_t>("a tensor's dimensions"));
      dims[rank - 1 - i] = dim;
    }
    VERGE_ASSIGN(type, number<uint32_t>("a tensor's type"));
    VERGE_ASSIGN(dtype, tensor_type(tensor.name, type));
    VERGE_ASSIGN(offset, number<uint64_t>("a tensor's offset"));
    VERGE_ASSIGN(view, checked_view(dtype, {dims, rank}, tensor.name, path_));
    tensor.view = view;
    tensor.offset = offset;
    pending_.push_back(std::move(tensor));
    return {};
  }

  Result<DType> tensor_type(const std::string& tensor, uint32_t number) const {
    const GgmlType type = ggml_type(number);
    if (type.type) return *type.type;
    if (type.name) return fail(Code::LoadFailed, "{}: tensor '{}' is of type {}, which is not supported", path_, tensor, type.name);
    return fail(Code::LoadFailed, "{}: tensor '{}' is of unknown type {}", path_, tensor, number);
  }

  Result<> place_tensors() {
    if (pending_.empty()) return {};
    const uint64_t start = (at_ + alignment_ - 1) & ~(alignment_ - 1);  // at_ <= file size: no overflow
    if (start > bytes_.size()) return fail(Code::LoadFailed, "{}: truncated: no tensor data", path_);
    const uint64_t room = bytes_.size() - start;
    for (Pending& tensor : pending_) {
      if (tensor.offset % alignment_ != 0) {
        return fail(Code::LoadFailed, "{}: tensor '{}' at offset {} is not aligned to {}", path_, tensor.name, tensor.offset, alignment_);
      }
      if (tensor.offset > room || tensor.view.bytes > room - tensor.offset) {
        return fail(Code::LoadFailed, "{}: tensor '{}' {} at offset {} goes past the end of the file (truncated?)", path_, tensor.name,
                    to_string(tensor.view), tensor.offset);
      }
      tensor.view.data = bytes_.data() + start + tensor.offset;
    }
    std::sort(pending_.begin(), pending_.end(), [](const Pending& a, const Pending& b) { return a.offset < b.offset; });
    for (size_t i = 1; i < pending_.size(); ++i) {
      if (pending_[i].offset - pending_[i - 1].offset < pending_[i - 1].view.bytes) {
        return fail(Code::LoadFailed, "{}: tensors '{}' and '{}' overlap", path_, pending_[i - 1].name, pending_[i].name);
      }
    }
    for (Pending& tensor : pending_) {
      if (!file_->tensors.emplace(tensor.name, tensor.view).second) {
        return fail(Code::LoadFailed, "{}: tensor '{}' appears twice", path_, tensor.name);
      }
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  const std::string& path_;
  ModelFile* file_;
  size_t at_ = 0;
  uint64_t alignment_ = 32;
  std::vector<Pending> pending_;
};

// "…-00001-of-00004.gguf" with part and count filled in; empty where the name is not of that form.
std::string part_path(const std::string& first, int64_t part, int64_t count) {
  const std::string ending = fmt::format("-{:05}-of-{:05}.gguf", 1, count);
  if (!first.ends_with(ending)) return {};
  return first.substr(0, first.size() - ending.size()) + fmt::format("-{:05}-of-{:05}.gguf", part, count);
}

Result<> add_parts(ModelFile* file) {
  const int64_t count = file->integer("split.count").value_or(1);
  if (count <= 1) return {};
  const std::string& first = file->path;
  if (count > static_cast<int64_t>(limits::kSplitFiles)) return fail(Code::LoadFailed, "{}: claims {} parts, limit {}", first, count, limits::kSplitFiles);
  if (file->integer("split.no").value_or(0) != 0) return fail(Code::LoadFailed, "{}: a later part of a split model; open the first part", first);
  if (part_path(first, 1, count).empty()) {
    return fail(Code::LoadFailed, "{}: the first of {} parts must be named …-00001-of-{:05}.gguf", first, count, count);
  }
  for (int64_t part = 2; part <= count; ++part) {
    const std::string path = part_path(first, part, count);
    VERGE_ASSIGN(map, MappedFile::open(path));
    ModelFile other;
    std::swap(other.tensors, file->tensors);  // so that a name in two parts is seen
    VERGE_TRY(parse_gguf(map->bytes(), path, &other));
    std::swap(other.tensors, file->tensors);
    if (other.integer("split.no") != part - 1 || other.integer("split.count") != count) {
      return fail(Code::LoadFailed, "{}: not part {} of {}", path, part, count);
    }
    file->maps.push_back(std::move(map));
  }
  const auto tensors = file->integer("split.tensors.count");
  if (tensors && *tensors != static_cast<int64_t>(file->tensors.size())) {
    return fail(Code::LoadFailed, "{}: the {} parts hold {} tensors, expected {}", first, count, file->tensors.size(), *tensors);
  }
  return {};
}

// Keys lose the architecture's prefix: "llama.block_count" becomes "block_count".
Result<> strip_prefix(ModelFile* file) {
  const std::string prefix = file->architecture + ".";
  auto it = file->meta.lower_bound(prefix);
  while (it != file->meta.end() && it->first.starts_with(prefix)) {
    auto node = file->meta.extract(it++);
    node.key().erase(0, prefix.size());
    const std::string key = node.key();
    if (!file->meta.insert(std::move(node)).inserted) return fail(Code::LoadFailed, "{}: metadata key '{}' appears twice", file->path, key);
  }
  return {};
}

void collect_stop_ids(ModelFile* file) {
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (auto id = file->integer(key)) add_stop_id(*id, &file->stop_ids);
  }
  const auto* tokens = file->array<std::string>("tokenizer.ggml.tokens");
  const auto* types = file->array<int64_t>("tokenizer.ggml.token_type");
  if (!tokens || !types || tokens->size() != types->size()) return;
  constexpr int64_t kControl = 3, kUserDefined = 4;
  for (size_t i = 0; i < tokens->size(); ++i) {
    const bool special = (*types)[i] == kControl || (*types)[i] == kUserDefined;
    if (special && ends_turn((*tokens)[i])) add_stop_id(static_cast<int64_t>(i), &file->stop_ids);
  }
}

}  // namespace

bool is_gguf(std::span<const std::byte> bytes) { return bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0; }

Result<> parse_gguf(std::span<const std::byte> bytes, const std::string& path, ModelFile* file) { return Parser(bytes, path, file).parse(); }

Result<std::shared_ptr<ModelFile>> open_gguf(std::shared_ptr<MappedFile> first) {
  auto file = std::make_shared<ModelFile>();
  file->path = first->path();
  file->format = "gguf";
  file->maps.push_back(first);
  VERGE_TRY(parse_gguf(first->bytes(), file->path, file.get()));
  VERGE_TRY(add_parts(file.get()));
  const auto architecture = file->text("general.architecture");
  if (!architecture || architecture->empty()) return fail(Code::LoadFailed, "{}: no general.architecture", file->path);
  file->architecture = *architecture;
  VERGE_TRY(strip_prefix(file.get()));
  file->chat_template = file->text("tokenizer.chat_template").value_or("");
  collect_stop_ids(file.get());
  return file;
}

}  // namespace verge::engine
