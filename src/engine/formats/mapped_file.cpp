#include "engine/formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace verge::engine {

Result<std::shared_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: a fifo in place of the file must not hang the loader; it means nothing for regular files.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail(Code::Io, "{}: cannot open: {}", path, std::strerror(errno));
  struct stat status {};
  Error error;
  std::shared_ptr<MappedFile> file;
  if (fstat(fd, &status) != 0) {
    error = fail(Code::Io, "{}: cannot read its size: {}", path, std::strerror(errno));
  } else if (!S_ISREG(status.st_mode)) {
    error = fail(Code::LoadFailed, "{}: not a regular file", path);
  } else if (status.st_size == 0) {
    error = fail(Code::LoadFailed, "{}: the file is empty", path);
  } else {
    const auto size = static_cast<size_t>(status.st_size);
    void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) error = fail(Code::Io, "{}: cannot map {} bytes: {}", path, size, std::strerror(errno));
    else file.reset(new MappedFile(path, data, size, false));
  }
  ::close(fd);  // the map keeps the file
  if (!file) return error;
  return file;
}

Result<std::shared_ptr<MappedFile>> MappedFile::allocate(size_t bytes, const std::string& path) {
  const size_t size = bytes ? bytes : 1;
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return fail(Code::Io, "{}: no memory for {} bytes of converted tensors", path, bytes);
  return std::shared_ptr<MappedFile>(new MappedFile(path, data, size, true));
}

MappedFile::~MappedFile() { munmap(data_, size_); }

void MappedFile::will_need() const {
  if (!owned_) madvise(data_, size_, MADV_WILLNEED);
}

void MappedFile::release(const std::byte* data, size_t bytes) const {
  const auto base = reinterpret_cast<uintptr_t>(data_), begin = reinterpret_cast<uintptr_t>(data);
  if (owned_ || begin < base || begin - base > size_ || bytes > size_ - (begin - base)) return;
  // Whole pages only: those at the ends are shared with the neighbouring tensors.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace verge::engine
