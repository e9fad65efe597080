// SHA-256 (and git's SHA-1 of a blob) of bytes as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "support/error.h"

namespace verge::node {

class Digest {
 public:
  enum class Kind { Sha256, Sha1 };
  explicit Digest(Kind kind = Kind::Sha256);
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  void add(const void* data, size_t bytes);
  std::string hex();  // lower case; ends it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Of a whole file; Io where it cannot be read.
Result<std::string> sha256_of(const std::string& path);

}  // namespace verge::node
