#include "node/io/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "support/limits.h"
#include "support/text.h"

// Design: a Transfer is one GET with its headers and what became of it; download() is the loop around
// it. An attempt that brought at least one new byte resets the count of failures, so a file of any
// size passes over a line that keeps breaking. A part file goes on only under If-Range with the ETag
// it began with; a server that answers 200 instead of 206 sends it all, and the part starts over.
namespace verge::node {
namespace {

struct Curl {
  CURL* handle = curl_easy_init();
  curl_slist* headers = nullptr;
  Curl() = default;
  Curl(const Curl&) = delete;
  Curl& operator=(const Curl&) = delete;
  ~Curl() {
    curl_slist_free_all(headers);
    if (handle) curl_easy_cleanup(handle);
  }
};

void initialise_once() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// One GET. `sink` gets the body of a 2xx answer; false ends the transfer.
struct Transfer {
  std::function<bool(Transfer&, const char*, size_t)> sink;
  std::string range, if_range;
  // Of the last answer in a chain of redirects:
  long status = 0;
  std::string etag, content_range;
  std::optional<uint64_t> length;
  int retry_after_s = 0;
  CURLcode code = CURLE_OK;
  std::string error;  // libcurl's words
};

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& t = *static_cast<Transfer*>(user);
  std::string_view line(data, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // a new answer: what came before was a redirect
    t.etag.clear();
    t.content_range.clear();
    t.length.reset();
    t.retry_after_s = 0;
    size_t space = line.find(' ');
    t.status = space == std::string_view::npos ? 0 : std::strtol(std::string(line.substr(space)).c_str(), nullptr, 10);
    return size * count;
  }
  size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name = ascii_lower(line.substr(0, colon));
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  uint64_t number = 0;
  bool is_number = std::from_chars(value.data(), value.data() + value.size(), number).ec == std::errc();
  if (name == "etag" && value.size() < 256) t.etag = value;
  if (name == "content-range") t.content_range = value;
  if (name == "content-length" && is_number) t.length = number;
  if (name == "retry-after" && is_number) t.retry_after_s = static_cast<int>(std::min<uint64_t>(number, 60));
  return size * count;
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& t = *static_cast<Transfer*>(user);
  size_t n = size * count;
  if (t.status < 200 || t.status > 299) return n;  // an error page: not kept
  return t.sink(t, data, n) ? n : CURL_WRITEFUNC_ERROR;
}

// Fails only where the address or libcurl itself is unusable; all else is in the Transfer.
Result<void> perform(const std::string& url, const std::string& token, Transfer& t) {
  initialise_once();
  Curl curl;
  if (!curl.handle) return fail(Code::Internal, "libcurl could not be set up");
  CURL* c = curl.handle;
  char error[CURL_ERROR_SIZE] = "";
  bool secure = ascii_lower(url).starts_with("https://");
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "verge");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");  // never from https down to http
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits::kDownloadStallS));
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &t);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {  // libcurl itself does not look at them
    if (const char* bundle = std::getenv(name); bundle && *bundle) {
      curl_easy_setopt(c, CURLOPT_CAINFO, bundle);
      break;
    }
  }
  if (!token.empty()) {  // libcurl drops it where a redirect leaves the host
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, token.c_str());
  }
  if (!t.range.empty()) curl_easy_setopt(c, CURLOPT_RANGE, t.range.c_str());
  if (!t.if_range.empty()) {
    curl.headers = curl_slist_append(curl.headers, ("If-Range: " + t.if_range).c_str());
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, curl.headers);
  }
  t.code = curl_easy_perform(c);
  t.error = error[0] ? error : curl_easy_strerror(t.code);
  if (t.code == CURLE_URL_MALFORMAT || t.code == CURLE_UNSUPPORTED_PROTOCOL) return fail(Code::Io, "{}: {}", url, t.error);
  return {};
}

// The error of an answer that is not a success; nullopt where it is one.
std::optional<Error> status_error(const std::string& url, const Transfer& t) {
  if (t.status >= 200 && t.status < 300) return std::nullopt;
  if (t.status == 401 || t.status == 403) {
    return fail(Code::Unauthenticated,
                "{}: HTTP {}: access is refused. If the model needs an accepted licence or a token, set VERGE_HUB_TOKEN (or HF_TOKEN)", url, t.status);
  }
  if (t.status == 404 || t.status == 410) return fail(Code::NotFound, "{}: HTTP {}: there is no such file", url, t.status);
  return fail(Code::Io, "{}: HTTP {}", url, t.status);
}

bool worth_retrying(const Transfer& t) {
  if (t.code != CURLE_OK) {
    switch (t.code) {
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_COULDNT_RESOLVE_PROXY:
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_TOO_MANY_REDIRECTS: return false;
      default: return true;
    }
  }
  return t.status == 408 || t.status == 429 || t.status >= 500;
}

void pause_for(const DownloadOptions& options, int ms) {
  if (options.wait) options.wait(ms);
  else std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

// Waits before the next attempt; false once there were too many in a row.
bool another_attempt(int& failures, const Transfer& t, const std::string& url, const DownloadOptions& options) {
  // A host that cannot be connected to is given up sooner: there are other sources.
  int allowed = t.code == CURLE_COULDNT_CONNECT ? 2 : limits::kDownloadAttempts;
  if (++failures >= allowed || !worth_retrying(t)) return false;
  int ms = std::min(limits::kDownloadBackoffMs << (failures - 1), limits::kDownloadBackoffMaxMs);
  if (t.retry_after_s > 0) ms = t.retry_after_s * 1000;
  options.note(fmt::format("{}: {}; attempt {} of {}", url, t.code != CURLE_OK ? t.error : fmt::format("HTTP {}", t.status), failures + 1, allowed));
  pause_for(options, ms);
  return true;
}

// "bytes 100-199/1000": first and total (0 = "*").
bool read_content_range(std::string_view s, uint64_t& first, uint64_t& total) {
  if (!s.starts_with("bytes ")) return false;
  s.remove_prefix(6);
  const char* end = s.data() + s.size();
  auto r = std::from_chars(s.data(), end, first);
  if (r.ec != std::errc()) return false;
  size_t slash = s.find('/');
  if (slash == std::string_view::npos) return false;
  total = 0;
  std::from_chars(s.data() + slash + 1, end, total);
  return true;
}

}  // namespace

std::string encode_path(std::string_view path) {
  std::string out;
  for (char c : path) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-_.~/@+").find(c) != std::string_view::npos;
    if (plain) out.push_back(c);
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Result<std::string> fetch(const std::string& url, size_t max_bytes, const DownloadOptions& options) {
  for (int failures = 0;;) {
    std::string body;
    Transfer t;
    bool too_large = false;
    t.sink = [&](Transfer&, const char* data, size_t n) {
      too_large = body.size() + n > max_bytes;
      if (!too_large) body.append(data, n);
      return !too_large;
    };
    VERGE_TRY(perform(url, options.token, t));
    if (too_large) return fail(Code::Io, "{}: answer of more than {} bytes", url, max_bytes);
    if (t.code == CURLE_OK && t.status >= 200 && t.status < 300) return body;
    if (another_attempt(failures, t, url, options)) continue;
    if (t.code != CURLE_OK) return fail(Code::Io, "{}: {}", url, t.error);
    return *status_error(url, t);
  }
}

Result<std::string> download(const std::string& url, const std::string& path, const Expected& expected, const DownloadOptions& options) {
  VERGE_ASSIGN(part, PartFile::open(path, expected));
  const bool went_on = part.size() > 0;
  // A sum that is wrong after going on from an earlier run says that the file has changed since: once more, from the start.
  auto finish = [&]() -> Result<std::string> {
    auto done = part.finish();
    if (done || !went_on) return done;
    options.note(fmt::format("{}; starting over", done.error().message));
    part.remove();
    return download(url, path, expected, options);
  };
  for (int failures = 0;;) {
    // Without an ETag only the final sum can tell whether two halves belong together.
    if (part.size() > 0 && part.etag().empty() && expected.sha256.empty()) VERGE_TRY(part.restart());
    if (expected.bytes > 0 && part.size() == expected.bytes) return finish();
    const uint64_t from = part.size();
    Transfer t;
    if (from > 0) {
      t.range = fmt::format("{}-", from);
      if (!part.etag().empty() && !part.etag().starts_with("W/")) t.if_range = part.etag();  // a weak tag must not be sent
    }
    Result<void> stored;
    bool started = false;
    uint64_t total = expected.bytes;
    t.sink = [&](Transfer& answer, const char* data, size_t n) {
      if (!started) {
        started = true;
        uint64_t first = 0, whole = 0;
        bool goes_on = answer.status == 206 && read_content_range(answer.content_range, first, whole) && first == part.size();
        if (answer.status == 206 && !goes_on) {
          stored = fail(Code::Io, "{}: the server sent another range than asked for ({})", url, answer.content_range);
          return false;
        }
        if (!goes_on && part.size() > 0) {
          stored = part.restart();
          if (!stored) return false;
        }
        if (whole == 0 && answer.length) whole = *answer.length + part.size();
        if (total == 0) total = whole;
        if (!answer.etag.starts_with("W/")) stored = part.set_etag(answer.etag);
        if (!stored) return false;
      }
      stored = part.append(data, n);
      if (stored) options.progress(part.size(), total);
      return stored.ok();
    };
    VERGE_TRY(perform(url, options.token, t));
    if (!stored) return std::move(stored.error());
    if (t.status == 416 && from > 0) {  // the part is as long as the file, or longer: its sum decides
      if (!expected.sha256.empty()) return finish();
      VERGE_TRY(part.restart());
      if (++failures >= limits::kDownloadAttempts) return *status_error(url, t);
      continue;
    }
    bool success = t.code == CURLE_OK && t.status >= 200 && t.status < 300;
    if (success) {
      if (total > 0 && part.size() < total) {
        t.code = CURLE_PARTIAL_FILE;
        t.error = fmt::format("the connection ended after {} of {} bytes", part.size(), total);
      } else {
        return finish();
      }
    }
    if (part.size() > from) failures = 0;  // it got further: such a line is worth going on with
    if (another_attempt(failures, t, url, options)) continue;
    if (part.size() == 0) part.remove();
    if (t.code != CURLE_OK) return fail(Code::Io, "{}: {}", url, t.error);
    return *status_error(url, t);
  }
}

}  // namespace verge::node
