// Makes small zip archives for tests.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

namespace verge::node {

struct ZipEntry {
  std::string name, content;
  bool deflated = false;
};

inline std::string deflate_raw(const std::string& s) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, s.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(s.data()));
  z.avail_in = static_cast<uInt>(s.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

inline void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

// `zip64` writes sizes and offsets as 64-bit fields, as archives over 4 GiB have them.
inline std::string make_zip(const std::vector<ZipEntry>& entries, bool zip64 = false) {
  std::string out, directory;
  for (const ZipEntry& e : entries) {
    std::string packed = e.deflated ? deflate_raw(e.content) : e.content;
    uint32_t crc = static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(e.content.data()), static_cast<uInt>(e.content.size())));
    uint64_t offset = out.size();
    auto common = [&](std::string& to, bool wide) {
      put(to, 0, 2);  // flags
      put(to, e.deflated ? 8 : 0, 2);
      put(to, 0, 4);  // time
      put(to, crc, 4);
      put(to, wide ? 0xFFFFFFFF : packed.size(), 4);
      put(to, wide ? 0xFFFFFFFF : e.content.size(), 4);
      put(to, e.name.size(), 2);
    };
    put(out, 0x04034b50, 4);
    put(out, 20, 2);
    common(out, false);
    put(out, 4, 2);  // extra field of the local header: its length differs from the directory's
    out += e.name;
    put(out, 0x9999, 2);
    put(out, 0, 2);
    out += packed;
    put(directory, 0x02014b50, 4);
    put(directory, 20, 2);
    put(directory, 20, 2);
    common(directory, zip64);
    put(directory, zip64 ? 28 : 0, 2);
    put(directory, 0, 2);  // comment
    put(directory, 0, 2);
    put(directory, 0, 2);
    put(directory, 0, 4);
    put(directory, zip64 ? 0xFFFFFFFF : offset, 4);
    directory += e.name;
    if (zip64) {
      put(directory, 1, 2);
      put(directory, 24, 2);
      put(directory, e.content.size(), 8);
      put(directory, packed.size(), 8);
      put(directory, offset, 8);
    }
  }
  uint64_t at = out.size();
  out += directory;
  if (zip64) {
    uint64_t record = out.size();
    put(out, 0x06064b50, 4);
    put(out, 44, 8);
    put(out, 45, 2);
    put(out, 45, 2);
    put(out, 0, 8);
    put(out, entries.size(), 8);
    put(out, entries.size(), 8);
    put(out, directory.size(), 8);
    put(out, at, 8);
    put(out, 0x07064b50, 4);
    put(out, 0, 4);
    put(out, record, 8);
    put(out, 1, 4);
  }
  put(out, 0x06054b50, 4);
  put(out, 0, 4);
  put(out, zip64 ? 0xFFFF : entries.size(), 2);
  put(out, zip64 ? 0xFFFF : entries.size(), 2);
  put(out, zip64 ? 0xFFFFFFFF : directory.size(), 4);
  put(out, zip64 ? 0xFFFFFFFF : at, 4);
  put(out, 0, 2);
  return out;
}

}  // namespace verge::node
