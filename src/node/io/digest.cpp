#include "node/io/digest.h"
#include "support/hex.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace verge::node {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context, kind == Kind::Sha256 ? EVP_sha256() : EVP_sha1(), nullptr);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::add(const void* data, size_t bytes) { EVP_DigestUpdate(state_->context, data, bytes); }

std::string Digest::hex() {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  EVP_DigestFinal_ex(state_->context, sum, &n);
  return verge::hex({sum, n});
}

Result<std::string> sha256_of(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(Code::Io, "{}: {}", path, std::strerror(errno));
  Digest digest;
  std::vector<char> buffer(1 << 20);
  for (;;) {
    ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      int error = errno;
      ::close(fd);
      return fail(Code::Io, "{}: {}", path, std::strerror(error));
    }
    if (n == 0) break;
    digest.add(buffer.data(), static_cast<size_t>(n));
  }
  ::close(fd);
  return digest.hex();
}

}  // namespace verge::node
