// Source of the layouts: torch/serialization.py. A tensor is a call of torch._utils._rebuild_tensor_v2(storage, offset, size,
// stride, …), its storage a persistent id ("storage", type, key, device, elements). The zip archive has a member
// NAME/data.pkl and one NAME/data/KEY for each storage. The older file is five pickles (magic number, protocol, system, object,
// keys in order), then for each key the number of elements (int64) and the elements.
#include "engine/formats/torch_checkpoint.h"

#include <algorithm>
#include <cstring>

#include "engine/formats/pickle.h"
#include "engine/formats/shape_check.h"
#include "engine/formats/zip_stored.h"
#include "support/limits.h"

namespace verge::engine {
namespace {

using Kind = PickleValue::Kind;
using Bytes = std::span<const std::byte>;

// The long integer 0x1950a86a20f9469cfc6c as a pickle.
constexpr std::string_view kMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15);

constexpr std::pair<std::string_view, DType> kStorages[] = {
    {"torch\nFloatStorage", DType::F32}, {"torch\nHalfStorage", DType::F16}, {"torch\nBFloat16Storage", DType::BF16}, {"torch\nCharStorage", DType::I8},
    {"torch\nByteStorage", DType::I8},   {"torch\nBoolStorage", DType::I8},  {"torch\nShortStorage", DType::I16},     {"torch\nIntStorage", DType::I32},
    {"torch\nLongStorage", DType::I64},
};

// Bytes of each storage by key.
using Storages = std::map<std::string, Bytes, std::less<>>;

struct Storage {
  DType type = DType::F32;
  std::string_view key;
  uint64_t elements = 0;
};

Result<Storage> read_storage(const Pickle& pickle, const PickleValue& value, const std::string& name, const std::string& path) {
  const auto bad = [&] { return fail(Code::LoadFailed, "{}: tensor '{}' has a storage of an unknown form", path, name); };
  if (value.kind != Kind::Persistent) return bad();
  const PickleValue& id = pickle[value.items[0]];
  if (id.kind != Kind::Tuple || id.items.size() < 5) return bad();
  const PickleValue &type = pickle[id.items[1]], &key = pickle[id.items[2]], &elements = pickle[id.items[4]];
  if (type.kind != Kind::Global || key.kind != Kind::Text || elements.kind != Kind::Int || elements.number < 0) return bad();
  const auto* known = std::find_if(std::begin(kStorages), std::end(kStorages), [&](const auto& s) { return s.first == type.text; });
  if (known == std::end(kStorages)) {
    std::string shown(type.text.substr(0, 64));
    std::replace(shown.begin(), shown.end(), '\n', '.');
    return fail(Code::LoadFailed, "{}: tensor '{}' is a {}, which is not supported", path, name, shown);
  }
  return Storage{known->second, key.text, static_cast<uint64_t>(elements.number)};
}

Result<std::vector<uint64_t>> read_sizes(const Pickle& pickle, const PickleValue& value, const std::string& name, const std::string& path) {
  std::vector<uint64_t> sizes;
  if (value.kind == Kind::Tuple && value.items.size() <= static_cast<size_t>(limits::kTensorDims)) {
    for (uint32_t item : value.items) {
      if (pickle[item].kind != Kind::Int || pickle[item].number < 0) break;
      sizes.push_back(static_cast<uint64_t>(pickle[item].number));
    }
    if (sizes.size() == value.items.size()) return sizes;
  }
  return fail(Code::LoadFailed, "{}: tensor '{}' has a bad shape (at most {} sizes)", path, name, limits::kTensorDims);
}

// Row by row out of any strides; every element was checked to lie in the storage.
Result<> copy_strided(TensorView* view, const std::vector<uint64_t>& strides, const std::string& path, std::vector<std::shared_ptr<MappedFile>>* owned) {
  VERGE_ASSIGN(buffer, MappedFile::allocate(view->bytes, path));
  const auto item = static_cast<size_t>(info(view->type).block_bytes);
  std::byte* to = buffer->owned_data();
  std::array<uint64_t, 4> stride{};
  std::copy(strides.begin(), strides.end(), stride.begin());
  const auto size = [&](size_t d) { return static_cast<uint64_t>(view->shape[d]); };
  for (uint64_t a = 0; a < size(0); ++a)
    for (uint64_t b = 0; b < size(1); ++b)
      for (uint64_t c = 0; c < size(2); ++c)
        for (uint64_t d = 0; d < size(3); ++d, to += item) std::memcpy(to, view->data + (a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3]) * item, item);
  view->data = buffer->bytes().data();
  owned->push_back(std::move(buffer));
  return {};
}

// arguments: (storage, offset, size, stride, …).
Result<TensorView> read_tensor(const Pickle& pickle, const PickleValue& arguments, const Storages& storages, const std::string& name, const std::string& path,
                               std::vector<std::shared_ptr<MappedFile>>* owned) {
  if (arguments.kind != Kind::Tuple || arguments.items.size() < 4) return fail(Code::LoadFailed, "{}: tensor '{}' is of an unknown form", path, name);
  VERGE_ASSIGN(storage, read_storage(pickle, pickle[arguments.items[0]], name, path));
  const PickleValue& offset = pickle[arguments.items[1]];
  VERGE_ASSIGN(sizes, read_sizes(pickle, pickle[arguments.items[2]], name, path));
  VERGE_ASSIGN(strides, read_sizes(pickle, pickle[arguments.items[3]], name, path));
  if (offset.kind != Kind::Int || offset.number < 0 || strides.size() != sizes.size()) return fail(Code::LoadFailed, "{}: tensor '{}' is of an unknown form", path, name);
  VERGE_ASSIGN(view, checked_view(storage.type, sizes, name, path));
  const auto found = storages.find(storage.key);
  if (found == storages.end()) return fail(Code::LoadFailed, "{}: tensor '{}' has no data in the file", path, name);
  const auto item = static_cast<uint64_t>(info(storage.type).block_bytes);
  const uint64_t elements = std::min<uint64_t>(found->second.size() / item, storage.elements);
  // The last element's place; each step is checked, so nothing overflows.
  uint64_t last = static_cast<uint64_t>(offset.number), contiguous = 1;
  bool in_order = true;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] > 1 && strides[i] > elements) last = UINT64_MAX / 2;
    else if (last <= elements) last += (sizes[i] - 1) * strides[i];
    in_order = in_order && (sizes[i] == 1 || strides[i] == contiguous);
    contiguous *= sizes[i];
  }
  if (last >= elements || static_cast<uint64_t>(view.elements()) > elements) {
    return fail(Code::LoadFailed, "{}: tensor '{}' {} goes past its {} elements of data (truncated?)", path, name, to_string(view), elements);
  }
  view.data = found->second.data() + static_cast<uint64_t>(offset.number) * item;
  if (!in_order) VERGE_TRY(copy_strided(&view, strides, path, owned));
  return view;
}

// A tensor, or a parameter around one: the arguments of _rebuild_tensor_v2. Null for everything else.
const PickleValue* tensor_arguments(const Pickle& pickle, const PickleValue& value) {
  if (value.kind != Kind::Call) return nullptr;
  const PickleValue &callee = pickle[value.items[0]], &arguments = pickle[value.items[1]];
  if (callee.text == "torch._utils\n_rebuild_tensor_v2" || callee.text == "torch._utils\n_rebuild_tensor") return &arguments;
  const bool parameter = callee.text == "torch._utils\n_rebuild_parameter" && arguments.kind == Kind::Tuple && !arguments.items.empty();
  if (!parameter) return nullptr;
  const PickleValue& inner = pickle[arguments.items[0]];
  if (inner.kind != Kind::Call || !pickle[inner.items[0]].text.starts_with("torch._utils\n_rebuild_tensor")) return nullptr;
  return &pickle[inner.items[1]];
}

Result<Tensors> read_tensors(const Pickle& pickle, const Storages& storages, const std::string& path, std::vector<std::shared_ptr<MappedFile>>* owned) {
  const PickleValue* dict = &pickle[pickle.root];
  for (const char* key : {"state_dict", "model"}) {
    const PickleValue* inner = pickle.find(*dict, key);
    if (inner && inner->kind == Kind::Dict) {
      dict = inner;
      break;
    }
  }
  if (dict->kind != Kind::Dict) return fail(Code::LoadFailed, "{}: the checkpoint is no dictionary of tensors (save the model's state_dict())", path);
  Tensors tensors;
  for (size_t i = 0; i + 1 < dict->items.size(); i += 2) {
    const PickleValue& key = pickle[dict->items[i]];
    const PickleValue* arguments = tensor_arguments(pickle, pickle[dict->items[i + 1]]);
    if (key.kind != Kind::Text || !arguments) continue;  // an optimizer's state, an epoch's number
    const std::string name(key.text);
    const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c >= 32 && c < 127; });
    if (name.empty() || name.size() > limits::kTensorNameBytes || !printable) return fail(Code::LoadFailed, "{}: a tensor name is empty, too long or not printable ASCII", path);
    if (tensors.size() >= limits::kTensorCount) return fail(Code::LoadFailed, "{}: more than {} tensors", path, limits::kTensorCount);
    VERGE_ASSIGN(view, read_tensor(pickle, *arguments, storages, name, path, owned));
    tensors.insert_or_assign(name, view);
  }
  if (tensors.empty()) return fail(Code::LoadFailed, "{}: the checkpoint holds no tensors", path);
  constexpr std::string_view kWrapper = "module.";  // of torch.nn.DataParallel
  if (!std::all_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.first.starts_with(kWrapper); })) return tensors;
  Tensors bare;
  for (auto& [name, view] : tensors) bare.emplace(name.substr(kWrapper.size()), view);
  return bare;
}

Result<Tensors> read_archive(Bytes bytes, const std::string& path, std::vector<std::shared_ptr<MappedFile>>* owned) {
  VERGE_ASSIGN(members, parse_stored_zip(bytes, path));
  const auto pickle_member = std::find_if(members.begin(), members.end(), [](const auto& m) { return m.first.ends_with("/data.pkl"); });
  if (pickle_member == members.end()) return fail(Code::LoadFailed, "{}: an archive without data.pkl is no torch checkpoint", path);
  const std::string folder = pickle_member->first.substr(0, pickle_member->first.size() - std::string_view("data.pkl").size());
  if (const auto order = members.find(folder + "byteorder"); order != members.end()) {
    if (std::string_view(reinterpret_cast<const char*>(order->second.data()), order->second.size()) != "little") return fail(Code::LoadFailed, "{}: big-endian checkpoints are not supported", path);
  }
  Storages storages;
  const std::string data = folder + "data/";
  for (const auto& [name, content] : members) {
    if (name.starts_with(data)) storages.emplace(name.substr(data.size()), content);
  }
  VERGE_ASSIGN(pickle, parse_pickle(pickle_member->second, path));
  return read_tensors(pickle, storages, path, owned);
}

// Types of the storages by key, out of the persistent ids: the data that follow say only how many elements there are.
std::map<std::string_view, size_t> item_bytes(const Pickle& pickle, const std::string& path) {
  std::map<std::string_view, size_t> sizes;
  for (const PickleValue& value : pickle.values) {
    const auto storage = value.kind == Kind::Persistent ? read_storage(pickle, value, "", path) : Result<Storage>(Error{});
    if (storage.ok()) sizes.emplace(storage->key, static_cast<size_t>(info(storage->type).block_bytes));
  }
  return sizes;
}

Result<Tensors> read_pickles(Bytes bytes, const std::string& path, std::vector<std::shared_ptr<MappedFile>>* owned) {
  size_t at = 0;
  Pickle object, keys;
  for (Pickle* to : {&object, &object, &object, &object, &keys}) {
    VERGE_ASSIGN(pickle, parse_pickle(bytes.subspan(at), path));
    at += pickle.end;
    *to = std::move(pickle);
  }
  if (keys[keys.root].kind != Kind::List) return fail(Code::LoadFailed, "{}: the checkpoint has no list of its data", path);
  const auto items = item_bytes(object, path);
  Storages storages;
  for (uint32_t index : keys[keys.root].items) {
    const auto item = items.find(keys[index].text);
    if (keys[index].kind != Kind::Text || item == items.end()) return fail(Code::LoadFailed, "{}: the checkpoint holds data of an unknown type", path);
    uint64_t elements = 0;
    if (bytes.size() - at < sizeof elements) return fail(Code::LoadFailed, "{}: the checkpoint is truncated", path);
    std::memcpy(&elements, bytes.data() + at, sizeof elements);
    at += sizeof elements;
    if (elements > (bytes.size() - at) / item->second) return fail(Code::LoadFailed, "{}: the checkpoint is truncated", path);
    storages.emplace(std::string(keys[index].text), bytes.subspan(at, elements * item->second));
    at += elements * item->second;
  }
  return read_tensors(object, storages, path, owned);
}

bool is_old(Bytes bytes) { return bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0; }

}  // namespace

bool is_torch_checkpoint(Bytes bytes) { return is_zip(bytes) || is_old(bytes); }

Result<Tensors> parse_torch_checkpoint(Bytes bytes, const std::string& path, std::vector<std::shared_ptr<MappedFile>>* owned) {
  if (is_zip(bytes)) return read_archive(bytes, path, owned);
  if (is_old(bytes)) return read_pickles(bytes, path, owned);
  return fail(Code::LoadFailed, "{}: not a torch checkpoint", path);
}

}  // namespace verge::engine
