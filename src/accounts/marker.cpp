#include "accounts/marker.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace verge::accounts {

std::string marker_of(const std::string& folder) { return (std::filesystem::path(folder) / "tokens-required").string(); }

Result<void> write_marker(const std::string& folder) {
  constexpr std::string_view kText =
      "API tokens were made for this data folder, so that its server answers requests with a token only, also should\n"
      "accounts.db be lost. Remove this file to serve without tokens again.\n";
  const std::string path = marker_of(folder);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const bool written = fd >= 0 && ::write(fd, kText.data(), kText.size()) == static_cast<ssize_t>(kText.size()) && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!written) return fail(Code::Io, "{}: {}", path, std::strerror(error));
  const int parent = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent >= 0) {
    ::fsync(parent);
    ::close(parent);
  }
  return {};
}

}  // namespace verge::accounts
