// A file's bytes, read-only in memory without being read: the kernel pages them in on first use and
// may drop them again. Also owned buffers of the same shape, for tensors that a reader had to convert.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "support/error.h"

namespace verge::engine {

// Immutable once shared; safe to read from any thread. The length is the file's at the time of opening. If another
// process truncates the file later, touching the lost pages raises SIGBUS: that ends this process, which is
// the worker of this one model, and no other.
class MappedFile {
 public:
  // Only regular files that are not empty. Errors: Io (cannot be opened or mapped), LoadFailed (empty, not a file).
  static Result<std::shared_ptr<MappedFile>> open(const std::string& path);
  // Zeroed, writable through owned_data() until it is shared.
  static Result<std::shared_ptr<MappedFile>> allocate(size_t bytes, const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  std::byte* owned_data() { return owned_ ? static_cast<std::byte*>(data_) : nullptr; }

  // A hint; failures are ignored. `release` gives the pages inside [data, data + bytes) back once their content has been
  // repacked: the next touch reads them from the file again. Owned buffers keep theirs.
  void release(const std::byte* data, size_t bytes) const;

 private:
  MappedFile(std::string path, void* data, size_t size, bool owned) : path_(std::move(path)), data_(data), size_(size), owned_(owned) {}

  std::string path_;
  void* data_;
  size_t size_;
  bool owned_;
};

}  // namespace verge::engine
