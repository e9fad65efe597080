#include "engine/formats/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "engine/formats/file_access.h"
#include "support/shortage.h"

namespace verge::engine {

Result<std::shared_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  VERGE_ASSIGN(file, open_file(path));
  if (file->size == 0) return fail(Code::LoadFailed, "{}: the file is empty", path);
  void* data = mmap(nullptr, file->size, PROT_READ, MAP_SHARED, file->fd, 0);
  if (data == MAP_FAILED) return shortage(fmt::format("{}: cannot map {} bytes: {}", path, file->size, std::strerror(errno)));
  return std::shared_ptr<MappedFile>(new MappedFile(path, data, file->size, false));  // the map keeps the file
}

Result<std::shared_ptr<MappedFile>> MappedFile::allocate(size_t bytes, const std::string& path) {
  const size_t size = bytes ? bytes : 1;
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return shortage(fmt::format("{}: no memory for {} bytes of tensors", path, bytes));
  return std::shared_ptr<MappedFile>(new MappedFile(path, data, size, true));
}

MappedFile::~MappedFile() { munmap(data_, size_); }

void MappedFile::release(const std::byte* data, size_t bytes) const {
  const auto base = reinterpret_cast<uintptr_t>(data_), begin = reinterpret_cast<uintptr_t>(data);
  if (owned_ || begin < base || begin - base > size_ || bytes > size_ - (begin - base)) return;
  // Whole pages only: those at the ends are shared with the neighbouring tensors.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace verge::engine
