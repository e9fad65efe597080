#include "support/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace verge {

void random_bytes(void* out, size_t count) {
  auto* p = static_cast<unsigned char*>(out);
  while (count > 0) {
    const ssize_t n = getrandom(p, count, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) std::abort();  // without it ids collide and tokens can be guessed
    p += n;
    count -= static_cast<size_t>(n);
  }
}

uint64_t random_u64() {
  uint64_t value;
  random_bytes(&value, sizeof value);
  return value;
}

}  // namespace verge
