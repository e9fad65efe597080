// Files over HTTP and HTTPS: redirects, proxies from the environment, ranges, retries. libcurl does the
// transport; what to keep, to retry and to tell the user is decided here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "node/io/part_file.h"
#include "support/error.h"

namespace verge::node {

struct DownloadOptions {
  std::string token;  // sent as a bearer token to the first address only, never to where it redirects
  // Bytes of this file there are now, and in all (0 = not known).
  std::function<void(uint64_t done, uint64_t total)> progress = [](uint64_t, uint64_t) {};
  std::function<void(const std::string&)> note = [](const std::string&) {};  // "connection lost, attempt 2"
  std::function<void(int ms)> wait;  // between attempts; null = really sleep
};

// Errors of both: NotFound (404), Unauthenticated (401, 403), TooLarge (no room on the disk), Io (all
// else), with the address in the message; never a token.
//
// Fetches `url` into `path`, going on from a part file of an earlier run where the server's version is
// the same. Returns the SHA-256.
Result<std::string> download(const std::string& url, const std::string& path, const Expected& expected, const DownloadOptions& options);

// A small document, at most `max_bytes`.
Result<std::string> fetch(const std::string& url, size_t max_bytes, const DownloadOptions& options);

// Percent-encodes a path's segments, keeping the slashes.
std::string encode_path(std::string_view path);

}  // namespace verge::node
