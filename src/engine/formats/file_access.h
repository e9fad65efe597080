// How readers of models reach files: by path, until the process gives that up with see_only(). From then on there are the
// files that it opened before, and a path is a name for one of them and never resolved again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/error.h"

namespace verge::engine {

// A descriptor, closed with its last owner. -1: `error` (an errno) says why it could not be opened.
struct OpenFile {
  explicit OpenFile(int descriptor, int why = 0) : fd(descriptor), error(why) {}
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  const int fd;
  const int error;
  uint64_t size = 0;
  bool regular = false;
  int64_t changed_ns = 0;  // its last change, of the file's own clock
  bool used = false;
};

// All files that the readers may ask for of the model at a path, told from names alone: nothing is read.
//   file        itself, the other parts of a split GGUF, and what its folder holds where that is a model's
//   folder      files with the extensions of models, and those of the folders in it (sentence-transformers' modules)
class ModelFiles {
 public:
  // Errors: Io where there is no such path, LoadFailed where a folder holds too many files.
  static Result<ModelFiles> open(const std::string& path);
  uint64_t bytes() const;  // of all of them

 private:
  friend class FileAccess;
  void add(const std::filesystem::path& path);
  Result<void> add_folder(const std::filesystem::path& folder, bool inner);
  std::map<std::string, std::shared_ptr<OpenFile>, std::less<>> files_;
  std::vector<std::string> folders_;
};

// For the whole process, once; call it before a byte of the model is read.
void see_only(ModelFiles files);
// InvalidInput naming a file that was read and is no longer as it was when it was opened; fine where see_only() was not called.
Result<void> unchanged();
// Closes what see_only() was given: the model is loaded.
void forget_files();

bool file_exists(const std::filesystem::path& path);
bool is_file(const std::filesystem::path& path);    // a regular one
bool is_folder(const std::filesystem::path& path);
std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder);  // sorted; empty where there is no such folder
// To be read with pread() and mmap(): the descriptor may be shared. Errors: Io (cannot be opened), LoadFailed (no regular file).
Result<std::shared_ptr<OpenFile>> open_file(const std::filesystem::path& path);
// Errors: as open_file; LoadFailed where it is longer than `limit` bytes.
Result<std::string> read_file(const std::filesystem::path& path, uint64_t limit);

}  // namespace verge::engine
