// Reads numbers out of foreign bytes: past the end reads as zero and is remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace verge::media {

class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint8_t u8(size_t at) const { return at < bytes_.size() ? static_cast<uint8_t>(bytes_[at]) : miss(); }
  uint32_t le16(size_t at) const { return u8(at) | static_cast<uint32_t>(u8(at + 1)) << 8; }
  uint32_t le32(size_t at) const { return le16(at) | le16(at + 2) << 16; }
  uint32_t be16(size_t at) const { return static_cast<uint32_t>(u8(at)) << 8 | u8(at + 1); }
  uint32_t be32(size_t at) const { return be16(at) << 16 | be16(at + 2); }
  size_t size() const { return bytes_.size(); }
  bool ok() const { return ok_; }
  // As much of [at, at + count) as there is.
  std::span<const std::byte> part(size_t at, size_t count) const {
    if (at >= bytes_.size()) return {};
    return bytes_.subspan(at, count < bytes_.size() - at ? count : bytes_.size() - at);
  }

 private:
  uint8_t miss() const {
    ok_ = false;
    return 0;
  }
  std::span<const std::byte> bytes_;
  mutable bool ok_ = true;
};

}  // namespace verge::media
