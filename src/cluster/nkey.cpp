#include "cluster/nkey.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "support/random.h"

namespace verge::cluster {
namespace {

constexpr uint8_t kSeed = 18 << 3;  // 'S'
constexpr uint8_t kUser = 20 << 3;  // 'U'
constexpr size_t kKeyBytes = 32;
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";  // RFC 4648, without padding

std::string to_base32(const std::vector<uint8_t>& bytes) {
  std::string out;
  uint32_t bits = 0;
  int held = 0;
  for (uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    for (held += 8; held >= 5; held -= 5) out += kAlphabet[bits >> (held - 5) & 31];
  }
  if (held > 0) out += kAlphabet[bits << (5 - held) & 31];
  return out;
}

Result<std::vector<uint8_t>> from_base32(std::string_view text) {
  std::vector<uint8_t> out;
  uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    const size_t value = std::string_view(kAlphabet).find(c);
    if (value == std::string_view::npos || c == '\0') return fail(Code::InvalidInput, "an NKey has a character that is not of its alphabet");
    bits = bits << 5 | static_cast<uint32_t>(value);
    held += 5;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<uint8_t>(bits >> held));
    }
  }
  return out;
}

// CRC-16/XMODEM, least significant byte first behind the key.
uint16_t crc16(const std::vector<uint8_t>& bytes, size_t count) {
  uint16_t crc = 0;
  for (size_t i = 0; i < count; ++i) {
    crc = static_cast<uint16_t>(crc ^ (bytes[i] << 8));
    for (int bit = 0; bit < 8; ++bit) crc = static_cast<uint16_t>(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
  }
  return crc;
}

std::string with_checksum(std::vector<uint8_t> bytes) {
  const uint16_t crc = crc16(bytes, bytes.size());
  bytes.push_back(static_cast<uint8_t>(crc));
  bytes.push_back(static_cast<uint8_t>(crc >> 8));
  return to_base32(bytes);
}

Result<Nkey> pair_of(const std::array<uint8_t, kKeyBytes>& secret) {
  std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), secret.size()), EVP_PKEY_free);
  std::vector<uint8_t> bytes{kUser};
  bytes.resize(1 + kKeyBytes);
  size_t length = kKeyBytes;
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), bytes.data() + 1, &length) != 1 || length != kKeyBytes)
    return fail(Code::Internal, "OpenSSL cannot make an Ed25519 key");
  Nkey out;
  out.public_key = with_checksum(std::move(bytes));
  std::vector<uint8_t> seed{static_cast<uint8_t>(kSeed | kUser >> 5), static_cast<uint8_t>((kUser & 31) << 3)};
  seed.insert(seed.end(), secret.begin(), secret.end());
  out.seed = with_checksum(std::move(seed));
  return out;
}

}  // namespace

Result<Nkey> make_user_nkey() {
  std::array<uint8_t, kKeyBytes> secret;
  random_bytes(secret.data(), secret.size());
  return pair_of(secret);
}

Result<Nkey> nkey_of_seed(std::string_view seed) {
  while (!seed.empty() && (seed.back() == '\n' || seed.back() == '\r' || seed.back() == ' ')) seed.remove_suffix(1);
  VERGE_ASSIGN(bytes, from_base32(seed));
  if (bytes.size() != 2 + kKeyBytes + 2) return fail(Code::InvalidInput, "an NKey seed has 58 characters, this one {}", seed.size());
  const uint16_t crc = crc16(bytes, bytes.size() - 2);
  if (bytes[34] != static_cast<uint8_t>(crc) || bytes[35] != static_cast<uint8_t>(crc >> 8)) return fail(Code::InvalidInput, "an NKey seed is damaged: its checksum does not fit");
  if (bytes[0] != static_cast<uint8_t>(kSeed | kUser >> 5) || bytes[1] != static_cast<uint8_t>((kUser & 31) << 3))
    return fail(Code::InvalidInput, "the NKey is not the seed of a user (SU…)");
  std::array<uint8_t, kKeyBytes> secret;
  std::copy(bytes.begin() + 2, bytes.begin() + 34, secret.begin());
  return pair_of(secret);
}

}  // namespace verge::cluster
