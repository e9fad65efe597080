// A file that is being fetched: NAME.part until it is whole and its sum is right, then NAME. What the
// source said of its version (ETag) is kept in NAME.part.etag, so that a later run can go on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "node/io/digest.h"
#include "support/error.h"

namespace verge::node {

// What a finished file must be. Empty or 0 = not known.
struct Expected {
  std::string sha256;
  std::string git_sha1;  // of git's blob, which hubs state for small files
  uint64_t bytes = 0;
};

class PartFile {
 public:
  // Opens or makes `path`.part, folders included. What is already there counts, and is read once to sum it.
  static Result<PartFile> open(const std::string& path, const Expected& expected);
  PartFile(PartFile&&) noexcept;
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile();

  uint64_t size() const { return size_; }
  const std::string& etag() const { return etag_; }
  Result<void> set_etag(std::string_view etag);
  Result<void> append(const void* data, size_t bytes);  // TooLarge where the disk is full: what is written stays
  Result<void> restart();                               // back to nothing
  // Checks size and sum, syncs, renames. A wrong sum removes the part file: going on from it cannot help.
  // Returns the SHA-256.
  Result<std::string> finish();
  void remove();  // part and etag

 private:
  PartFile() = default;
  std::string path_, part_, etag_;
  Expected expected_;
  int fd_ = -1;
  uint64_t size_ = 0;
  Digest sum_;
};

// A relative path that stays in its folder: no "..", no root, no backslash, no control character.
bool safe_relative_path(std::string_view path);
// Flushes a folder's entries to disk, so that a rename in it lasts.
Result<void> sync_folder(const std::string& folder);
Result<void> make_folders(const std::string& folder);
// Writes a small file whole: temporary file, sync, rename.
Result<void> write_file(const std::string& path, std::string_view text);

}  // namespace verge::node
