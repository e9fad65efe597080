#include "engine/formats/protobuf.h"

#include <bit>

namespace verge::engine {

float ProtobufField::as_float() const { return std::bit_cast<float>(static_cast<uint32_t>(integer)); }

std::optional<uint64_t> ProtobufReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    auto byte = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<uint64_t> ProtobufReader::fixed(size_t bytes) {
  if (rest_.size() < bytes) return std::nullopt;
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << (8 * i);
  rest_.remove_prefix(bytes);
  return value;
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (rest_.empty() || failed_) return std::nullopt;
  ProtobufField field;
  failed_ = true;  // until the field is read whole
  auto tag = varint();
  if (!tag || *tag >> 3 == 0 || *tag >> 3 > 0x1FFFFFFF) return std::nullopt;
  field.number = static_cast<uint32_t>(*tag >> 3);
  std::optional<uint64_t> value;
  switch (*tag & 7) {
    case 0: value = varint(); break;
    case 1:
      field.kind = ProtobufField::Kind::Fixed64;
      value = fixed(8);
      break;
    case 2:
      field.kind = ProtobufField::Kind::Bytes;
      value = varint();
      if (!value || *value > rest_.size()) return std::nullopt;
      field.bytes = rest_.substr(0, *value);
      rest_.remove_prefix(*value);
      break;
    case 5:
      field.kind = ProtobufField::Kind::Fixed32;
      value = fixed(4);
      break;
    default: return std::nullopt;  // groups are not in use
  }
  if (!value) return std::nullopt;
  field.integer = *value;
  failed_ = false;
  return field;
}

}  // namespace verge::engine
