#include "node/io/part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "support/limits.h"

namespace verge::node {
namespace {

namespace fs = std::filesystem;

Error disk_error(const std::string& path, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    return fail(Code::TooLarge, "{}: the disk is full. Free some space, or set VERGE_MODELS to a folder on another disk; what was fetched is kept", path);
  }
  if (error == EFBIG) return fail(Code::TooLarge, "{}: the file would be larger than this process may write (ulimit -f)", path);
  return fail(Code::Io, "{}: {}", path, std::strerror(error));
}

Result<void> write_all(int fd, const std::string& path, const char* data, size_t bytes) {
  while (bytes > 0) {
    ssize_t n = ::write(fd, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_error(path, errno);
    data += n;
    bytes -= static_cast<size_t>(n);
  }
  return {};
}

}  // namespace

bool safe_relative_path(std::string_view path) {
  if (path.empty() || path.size() > limits::kFileNameBytes || path.front() == '/' || path.back() == '/') return false;
  for (char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\' || c == ':') return false;
  }
  for (size_t start = 0; start <= path.size();) {
    size_t end = std::min(path.find('/', start), path.size());
    std::string_view name = path.substr(start, end - start);
    if (name.empty() || name == "." || name == ".." || name.size() > 255) return false;
    start = end + 1;
  }
  return true;
}

Result<void> sync_folder(const std::string& folder) {
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail(Code::Io, "{}: {}", folder, std::strerror(errno));
  int rc = ::fsync(fd);
  int error = errno;
  ::close(fd);
  if (rc != 0 && error != EINVAL) return fail(Code::Io, "{}: {}", folder, std::strerror(error));  // EINVAL: a file system without
  return {};
}

Result<void> make_folders(const std::string& folder) {
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) return disk_error(folder, ec.value());
  return {};
}

Result<void> write_file(const std::string& path, std::string_view text) {
  std::string temporary = path + ".new";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return disk_error(temporary, errno);
  Result<void> written = write_all(fd, temporary, text.data(), text.size());
  if (written && ::fsync(fd) != 0) written = disk_error(temporary, errno);
  ::close(fd);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) written = disk_error(path, errno);
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_folder(fs::path(path).parent_path().string());
}

PartFile::PartFile(PartFile&& o) noexcept
    : path_(std::move(o.path_)), part_(std::move(o.part_)), etag_(std::move(o.etag_)), expected_(std::move(o.expected_)),
      fd_(std::exchange(o.fd_, -1)), size_(o.size_), sum_(std::move(o.sum_)) {}

PartFile::~PartFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<PartFile> PartFile::open(const std::string& path, const Expected& expected) {
  PartFile f;
  f.path_ = path;
  f.part_ = path + ".part";
  f.expected_ = expected;
  VERGE_TRY(make_folders(fs::path(path).parent_path().string()));
  f.fd_ = ::open(f.part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (f.fd_ < 0) return disk_error(f.part_, errno);
  std::vector<char> buffer(1 << 20);
  for (;;) {
    ssize_t n = ::read(f.fd_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_error(f.part_, errno);
    if (n == 0) break;
    f.sum_.add(buffer.data(), static_cast<size_t>(n));
    f.size_ += static_cast<uint64_t>(n);
  }
  if (f.size_ > 0) {
    std::ifstream in(f.part_ + ".etag");
    std::getline(in, f.etag_);
  }
  if (expected.bytes > 0 && f.size_ > expected.bytes) VERGE_TRY(f.restart());
  return f;
}

Result<void> PartFile::set_etag(std::string_view etag) {
  if (etag == etag_) return {};
  etag_ = etag;
  std::string path = part_ + ".etag";
  if (etag.empty()) {
    ::unlink(path.c_str());
    return {};
  }
  return write_file(path, std::string(etag) + "\n");
}

Result<void> PartFile::append(const void* data, size_t bytes) {
  if (expected_.bytes > 0 && size_ + bytes > expected_.bytes) return fail(Code::Io, "{}: more than the {} bytes it should have", path_, expected_.bytes);
  Result<void> written = write_all(fd_, part_, static_cast<const char*>(data), bytes);
  if (!written) {
    // A write may have been done in part: cut back to what is summed.
    if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0 || ::lseek(fd_, 0, SEEK_END) < 0) remove();
    return written;
  }
  sum_.add(data, bytes);
  size_ += bytes;
  return {};
}

Result<void> PartFile::restart() {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) < 0) return disk_error(part_, errno);
  size_ = 0;
  sum_ = Digest();
  return set_etag("");
}

void PartFile::remove() {
  ::unlink(part_.c_str());
  ::unlink((part_ + ".etag").c_str());
}

Result<std::string> PartFile::finish() {
  if (expected_.bytes > 0 && size_ != expected_.bytes) {
    return fail(Code::Io, "{}: {} bytes came, {} were expected", path_, size_, expected_.bytes);
  }
  std::string sum = sum_.hex();
  if (!expected_.sha256.empty() && sum != expected_.sha256) {
    remove();
    return fail(Code::Io, "{}: SHA-256 is {}, expected {}; the file was removed", path_, sum, expected_.sha256);
  }
  if (expected_.sha256.empty() && !expected_.git_sha1.empty()) {
    Digest git(Digest::Kind::Sha1);
    std::string header = fmt::format("blob {}", size_);
    git.add(header.c_str(), header.size() + 1);
    std::vector<char> buffer(1 << 16);
    for (uint64_t at = 0; at < size_;) {
      ssize_t n = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(at));
      if (n <= 0) return disk_error(part_, n < 0 ? errno : EIO);
      git.add(buffer.data(), static_cast<size_t>(n));
      at += static_cast<uint64_t>(n);
    }
    if (std::string id = git.hex(); id != expected_.git_sha1) {
      remove();
      return fail(Code::Io, "{}: git blob id is {}, expected {}; the file was removed", path_, id, expected_.git_sha1);
    }
  }
  if (::fsync(fd_) != 0) return disk_error(part_, errno);
  if (::rename(part_.c_str(), path_.c_str()) != 0) return disk_error(path_, errno);
  ::unlink((part_ + ".etag").c_str());
  VERGE_TRY(sync_folder(fs::path(path_).parent_path().string()));
  return sum;
}

}  // namespace verge::node
