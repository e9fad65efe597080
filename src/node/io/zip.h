// Reads members of a zip archive (a Python wheel): stored or deflated, zip64 too. The archive is hostile:
// every offset and count is checked, and a member gives no more bytes than its entry says.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::node {

class ZipFile {
 public:
  static Result<ZipFile> open(const std::string& path);
  ZipFile(ZipFile&&) noexcept;
  ZipFile& operator=(ZipFile&&) = delete;
  ~ZipFile();

  struct Member {
    uint64_t offset = 0;  // of its local header
    uint64_t packed = 0, bytes = 0;
    uint32_t crc = 0;
    uint16_t method = 0;  // 0 stored, 8 deflated
    uint16_t flags = 0;
  };
  const Member* find(std::string_view name) const;

  // Gives the member's bytes in order to `sink`; ends with its error. LoadFailed where the archive is
  // damaged or the CRC is wrong.
  Result<void> read(const Member& member, const std::function<Result<void>(const char*, size_t)>& sink) const;

 private:
  ZipFile() = default;
  Result<void> read_at(uint64_t offset, void* out, size_t bytes) const;
  Result<void> read_directory();
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::map<std::string, Member, std::less<>> members_;
};

}  // namespace verge::node
