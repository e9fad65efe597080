// Source: PKWARE's APPNOTE.TXT, 4.3 (records) and 4.5.3 (zip64 field).
#include "engine/formats/zip_stored.h"

#include <algorithm>
#include <cstring>

#include "support/limits.h"

namespace verge::engine {
namespace {

using Part = std::span<const std::byte>;

// Little-endian; the caller has checked that it lies inside.
template <class T>
uint64_t number(Part bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool has(Part bytes, uint64_t at, uint64_t count) { return at <= bytes.size() && count <= bytes.size() - at; }

struct Directory {
  uint64_t at = 0, bytes = 0, members = 0;
};

Result<Directory> find_directory(Part bytes, const std::string& path) {
  constexpr size_t kEnd = 22, kComment = 0xffff;
  for (size_t back = kEnd; back <= std::min(bytes.size(), kEnd + kComment); ++back) {
    const size_t at = bytes.size() - back;
    if (number<uint32_t>(bytes, at) != 0x06054b50) continue;
    Directory d{number<uint32_t>(bytes, at + 16), number<uint32_t>(bytes, at + 12), number<uint16_t>(bytes, at + 10)};
    if (d.at != 0xffffffff && d.bytes != 0xffffffff && d.members != 0xffff) return d;
    if (at < 20 || number<uint32_t>(bytes, at - 20) != 0x07064b50) return d;
    const uint64_t large = number<uint64_t>(bytes, at - 20 + 8);
    if (!has(bytes, large, 56) || number<uint32_t>(bytes, large) != 0x06064b50) break;
    return Directory{number<uint64_t>(bytes, large + 48), number<uint64_t>(bytes, large + 40), number<uint64_t>(bytes, large + 32)};
  }
  return fail(Code::LoadFailed, "{}: the archive has no directory (truncated?)", path);
}

// Fields of a zip64 record stand for those that are all ones, in this order.
void read_large(Part extra, uint64_t* size, uint64_t* packed, uint64_t* offset) {
  for (size_t at = 0; has(extra, at, 4);) {
    const uint64_t kind = number<uint16_t>(extra, at), length = number<uint16_t>(extra, at + 2);
    at += 4;
    if (!has(extra, at, length)) return;
    if (kind == 1) {
      size_t field = at;
      for (uint64_t* value : {size, packed, offset}) {
        if (*value != 0xffffffff || field + 8 > at + length) continue;
        *value = number<uint64_t>(extra, field);
        field += 8;
      }
      return;
    }
    at += length;
  }
}

}  // namespace

bool is_zip(Part bytes) { return bytes.size() >= 4 && number<uint32_t>(bytes, 0) == 0x04034b50; }

Result<std::map<std::string, Part, std::less<>>> parse_stored_zip(Part bytes, const std::string& path) {
  VERGE_ASSIGN(directory, find_directory(bytes, path));
  if (!has(bytes, directory.at, directory.bytes)) return fail(Code::LoadFailed, "{}: the archive's directory lies past its end", path);
  if (directory.members > limits::kTensorCount) return fail(Code::LoadFailed, "{}: {} members, limit {}", path, directory.members, limits::kTensorCount);
  std::map<std::string, Part, std::less<>> members;
  const Part records = bytes.subspan(directory.at, directory.bytes);
  size_t at = 0;
  for (uint64_t i = 0; i < directory.members; ++i) {
    constexpr size_t kRecord = 46, kLocal = 30;
    if (!has(records, at, kRecord) || number<uint32_t>(records, at) != 0x02014b50) return fail(Code::LoadFailed, "{}: the archive's directory is damaged", path);
    const uint64_t method = number<uint16_t>(records, at + 10);
    uint64_t packed = number<uint32_t>(records, at + 20), size = number<uint32_t>(records, at + 24), offset = number<uint32_t>(records, at + 42);
    const uint64_t name_bytes = number<uint16_t>(records, at + 28), extra_bytes = number<uint16_t>(records, at + 30), comment = number<uint16_t>(records, at + 32);
    if (!has(records, at + kRecord, name_bytes + extra_bytes + comment)) return fail(Code::LoadFailed, "{}: the archive's directory is damaged", path);
    const std::string name(reinterpret_cast<const char*>(records.data() + at + kRecord), name_bytes);
    read_large(records.subspan(at + kRecord + name_bytes, extra_bytes), &size, &packed, &offset);
    at += kRecord + name_bytes + extra_bytes + comment;
    if (method != 0 || packed != size) return fail(Code::LoadFailed, "{}: member '{}' is compressed, which torch.save never does", path, name.substr(0, 100));
    if (!has(bytes, offset, kLocal) || number<uint32_t>(bytes, offset) != 0x04034b50) return fail(Code::LoadFailed, "{}: member '{}' is not where the directory says", path, name.substr(0, 100));
    const uint64_t data = offset + kLocal + number<uint16_t>(bytes, offset + 26) + number<uint16_t>(bytes, offset + 28);
    if (!has(bytes, data, size)) return fail(Code::LoadFailed, "{}: member '{}' goes past the end (truncated?)", path, name.substr(0, 100));
    members.emplace(name, bytes.subspan(data, size));
  }
  return members;
}

}  // namespace verge::engine
