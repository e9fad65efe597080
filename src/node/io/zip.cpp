#include "node/io/zip.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "support/limits.h"

// Design, after PKWARE's APPNOTE: the end record is looked for in the last 64 KiB, a zip64 locator
// before it; the directory is read whole (bounded) and becomes a map. Sizes come from the directory
// only: the local header is read just for the length of its name and extra field.
namespace verge::node {
namespace {

uint16_t u16(const unsigned char* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
uint32_t u32(const unsigned char* p) { return static_cast<uint32_t>(u16(p)) | static_cast<uint32_t>(u16(p + 2)) << 16; }
uint64_t u64(const unsigned char* p) { return static_cast<uint64_t>(u32(p)) | static_cast<uint64_t>(u32(p + 4)) << 32; }

constexpr size_t kEndBytes = 22, kLocatorBytes = 20, kEnd64Bytes = 56, kEntryBytes = 46, kLocalBytes = 30;

struct Inflate {
  z_stream stream{};
  bool ready = inflateInit2(&stream, -MAX_WBITS) == Z_OK;
  ~Inflate() {
    if (ready) inflateEnd(&stream);
  }
};

}  // namespace

ZipFile::ZipFile(ZipFile&& o) noexcept : path_(std::move(o.path_)), fd_(std::exchange(o.fd_, -1)), size_(o.size_), members_(std::move(o.members_)) {}

ZipFile::~ZipFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ZipFile> ZipFile::open(const std::string& path) {
  ZipFile zip;
  zip.path_ = path;
  zip.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st {};
  if (zip.fd_ < 0 || ::fstat(zip.fd_, &st) != 0) return fail(Code::Io, "{}: {}", path, std::strerror(errno));
  zip.size_ = static_cast<uint64_t>(st.st_size);
  VERGE_TRY(zip.read_directory());
  return zip;
}

const ZipFile::Member* ZipFile::find(std::string_view name) const {
  auto it = members_.find(name);
  return it == members_.end() ? nullptr : &it->second;
}

Result<void> ZipFile::read_at(uint64_t offset, void* out, size_t bytes) const {
  if (offset > size_ || bytes > size_ - offset) return fail(Code::LoadFailed, "{}: not a whole zip archive", path_);
  char* to = static_cast<char*>(out);
  while (bytes > 0) {
    ssize_t n = ::pread(fd_, to, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(Code::Io, "{}: {}", path_, n < 0 ? std::strerror(errno) : "shorter than it was");
    to += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
  return {};
}

Result<void> ZipFile::read_directory() {
  auto damaged = [this](const char* what) { return fail(Code::LoadFailed, "{}: damaged zip archive ({})", path_, what); };
  if (size_ < kEndBytes) return damaged("too short");
  std::vector<unsigned char> tail(static_cast<size_t>(std::min<uint64_t>(size_, kEndBytes + 0xFFFF)));
  const uint64_t tail_at = size_ - tail.size();
  VERGE_TRY(read_at(tail_at, tail.data(), tail.size()));
  size_t end = tail.size() - kEndBytes + 1;
  while (end-- > 0) {
    if (u32(&tail[end]) == 0x06054b50 && end + kEndBytes + u16(&tail[end + 20]) == tail.size()) break;
  }
  if (end == static_cast<size_t>(-1)) return damaged("no end record");
  uint64_t count = u16(&tail[end + 10]), bytes = u32(&tail[end + 12]), at = u32(&tail[end + 16]);
  if (count == 0xFFFF || bytes == 0xFFFFFFFF || at == 0xFFFFFFFF) {
    if (end < kLocatorBytes || u32(&tail[end - kLocatorBytes]) != 0x07064b50) return damaged("no zip64 locator");
    unsigned char record[kEnd64Bytes];
    VERGE_TRY(read_at(u64(&tail[end - kLocatorBytes + 8]), record, sizeof record));
    if (u32(record) != 0x06064b50) return damaged("no zip64 end record");
    count = u64(record + 32);
    bytes = u64(record + 40);
    at = u64(record + 48);
  }
  if (count > limits::kZipMembers || bytes > limits::kZipDirectoryBytes) return damaged("directory too large");
  if (at > size_ || bytes > size_ - at) return damaged("directory past the end");
  std::vector<unsigned char> directory(static_cast<size_t>(bytes));
  VERGE_TRY(read_at(at, directory.data(), directory.size()));
  const unsigned char* p = directory.data();
  const unsigned char* stop = p + directory.size();
  for (uint64_t i = 0; i < count; ++i) {
    if (static_cast<size_t>(stop - p) < kEntryBytes || u32(p) != 0x02014b50) return damaged("directory entry");
    size_t name = u16(p + 28), extra = u16(p + 30), comment = u16(p + 32);
    if (static_cast<size_t>(stop - p) < kEntryBytes + name + extra + comment) return damaged("directory entry");
    Member m;
    m.flags = u16(p + 8);
    m.method = u16(p + 10);
    m.crc = u32(p + 16);
    m.packed = u32(p + 20);
    m.bytes = u32(p + 24);
    m.offset = u32(p + 42);
    // Zip64 extra field: the 64-bit values of those fields that are all ones, in this order.
    for (const unsigned char* e = p + kEntryBytes + name; e + 4 <= p + kEntryBytes + name + extra;) {
      size_t n = u16(e + 2);
      const unsigned char* value = e + 4;
      if (n > static_cast<size_t>(p + kEntryBytes + name + extra - value)) return damaged("extra field");
      if (u16(e) == 1) {
        const unsigned char* value_end = value + n;
        for (auto [field, all_ones] : {std::pair{&m.bytes, 0xFFFFFFFFull}, std::pair{&m.packed, 0xFFFFFFFFull}, std::pair{&m.offset, 0xFFFFFFFFull}}) {
          if (*field != all_ones) continue;
          if (value_end - value < 8) return damaged("zip64 field");
          *field = u64(value);
          value += 8;
        }
        break;
      }
      e = value + n;
    }
    members_.emplace(std::string(reinterpret_cast<const char*>(p + kEntryBytes), name), m);
    p += kEntryBytes + name + extra + comment;
  }
  return {};
}

Result<void> ZipFile::read(const Member& member, const std::function<Result<void>(const char*, size_t)>& sink) const {
  auto damaged = [this](const char* what) { return fail(Code::LoadFailed, "{}: damaged zip archive ({})", path_, what); };
  if (member.flags & 1) return damaged("an encrypted member");
  if (member.method != 0 && member.method != 8) return damaged("an unknown compression");
  if (member.method == 0 && member.packed != member.bytes) return damaged("sizes of a stored member");
  unsigned char local[kLocalBytes];
  VERGE_TRY(read_at(member.offset, local, sizeof local));
  if (u32(local) != 0x04034b50) return damaged("local header");
  uint64_t at = member.offset + kLocalBytes + u16(local + 26) + u16(local + 28);
  if (at > size_ || member.packed > size_ - at) return damaged("member past the end");

  std::vector<char> in(static_cast<size_t>(std::clamp<uint64_t>(member.packed, 1, 1 << 18)));
  std::vector<char> out(static_cast<size_t>(std::clamp<uint64_t>(member.bytes, 256, 1 << 18)));
  uLong crc = crc32(0, nullptr, 0);
  uint64_t left = member.packed, made = 0;
  auto deliver = [&](const char* data, size_t n) -> Result<void> {
    made += n;
    if (made > member.bytes) return damaged("a member larger than its entry says");
    crc = crc32(crc, reinterpret_cast<const Bytef*>(data), static_cast<uInt>(n));
    return sink(data, n);
  };
  Inflate inflater;
  if (!inflater.ready) return fail(Code::Internal, "zlib could not be set up");
  bool ended = member.method == 0;
  while (left > 0) {
    size_t n = static_cast<size_t>(std::min<uint64_t>(left, in.size()));
    VERGE_TRY(read_at(at, in.data(), n));
    at += n;
    left -= n;
    if (member.method == 0) {
      VERGE_TRY(deliver(in.data(), n));
      continue;
    }
    z_stream& z = inflater.stream;
    z.next_in = reinterpret_cast<Bytef*>(in.data());
    z.avail_in = static_cast<uInt>(n);
    while (!ended && (z.avail_in > 0 || z.avail_out == 0)) {
      z.next_out = reinterpret_cast<Bytef*>(out.data());
      z.avail_out = static_cast<uInt>(out.size());
      int rc = inflate(&z, Z_NO_FLUSH);
      if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) return damaged("compressed data");
      size_t got = out.size() - z.avail_out;
      if (got > 0) VERGE_TRY(deliver(out.data(), got));
      ended = rc == Z_STREAM_END;
      if (rc == Z_BUF_ERROR && got == 0) break;
    }
    if (ended) break;
  }
  if (!ended || made != member.bytes) return damaged("a member that ends early");
  if (static_cast<uint32_t>(crc) != member.crc) return damaged("CRC of a member");
  return {};
}

}  // namespace verge::node
