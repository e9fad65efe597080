// Just enough of the protobuf wire format to read SentencePiece and ONNX models: varints, fixed numbers and
// length-delimited fields, bounds-checked. Views point into the input.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace verge::engine {

struct ProtobufField {
  uint32_t number = 0;
  enum class Kind { Varint, Fixed32, Fixed64, Bytes } kind = Kind::Varint;
  uint64_t integer = 0;    // Varint, Fixed32, Fixed64
  std::string_view bytes;  // Bytes

  float as_float() const;  // of Fixed32
};

// Reads the fields of one message in order.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}
  // nullopt at the end, or where the message is damaged (then failed() is true).
  std::optional<ProtobufField> next();
  bool failed() const { return failed_; }

 private:
  std::optional<uint64_t> varint();
  std::optional<uint64_t> fixed(size_t bytes);
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace verge::engine
