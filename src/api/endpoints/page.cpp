// The page, its scripts and the documentation: static files in the program, the same for everybody.
#include "api/page.h"

#include <algorithm>

#include "api/endpoints/endpoints.h"
#include "api/openapi.h"
#include "http/accept_encoding.h"

namespace verge::api {
namespace {

// Nothing from elsewhere, nothing inline, no eval: whatever a model writes, the page runs its own scripts
// alone and asks this server alone. Pictures, clips and recordings of the visitor are blobs.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PageFile* find_file(std::string_view path) {
  const auto files = page_files();
  const auto found = std::ranges::find(files, path, &PageFile::path);
  return found == files.end() ? nullptr : &*found;
}

// Names of scripts and styles hold a hash of their bytes: they never change.
bool never_changes(std::string_view path) { return path.starts_with("page/"); }

// `list` is If-None-Match; a weak tag is as good as a strong one for that (RFC 9110, 13.1.2).
bool lists_tag(std::string_view list, std::string_view quoted) {
  if (list == "*") return true;
  for (size_t at = list.find(quoted); at != list.npos; at = list.find(quoted, at + 1)) return true;
  return false;
}

http::task<void> respond_file(Call& call, const PageFile& file) {
  const http::AcceptedCodings accepted = http::accepted_codings(http::header_list(call.in.headers, "accept-encoding"));
  const bool brotli = accepted.brotli && !file.brotli.empty();
  const bool gzip = !brotli && accepted.gzip && !file.gzip.empty();
  // Bytes differ by coding, and so do their tags.
  const std::string etag = fmt::format("\"{}{}\"", file.etag, brotli ? "-br" : gzip ? "-gz" : "");
  http::Headers headers;
  headers.push_back({"etag", etag});
  headers.push_back({"vary", "accept-encoding"});
  headers.push_back({"cache-control", never_changes(file.path) ? "public, max-age=31536000, immutable" : "no-cache"});
  headers.push_back({"content-security-policy", std::string(kPolicy)});
  headers.push_back({"x-content-type-options", "nosniff"});
  headers.push_back({"referrer-policy", "no-referrer"});
  headers.push_back({"permissions-policy", "camera=(self), microphone=(self), geolocation=()"});
  headers.push_back({"cross-origin-opener-policy", "same-origin"});
  if (lists_tag(http::header_list(call.in.headers, "if-none-match"), etag)) return respond(call, 304, std::move(headers), "");
  headers.push_back({"content-type", std::string(file.media_type)});
  if (brotli || gzip) headers.push_back({"content-encoding", brotli ? "br" : "gzip"});
  return respond(call, 200, std::move(headers), std::string(brotli ? file.brotli : gzip ? file.gzip : file.plain));
}

http::task<void> respond_absence(Call& call) {
  std::string text = fmt::format(
      "This build of Verge has no page: {}\nThe API does not need it. GET /openapi.json describes all routes.\n", page_absence());
  return respond(call, 404, {{"content-type", "text/plain; charset=utf-8"}}, std::move(text));
}

http::task<void> respond_path(Call& call, std::string_view path) {
  if (page_files().empty()) return respond_absence(call);
  const PageFile* file = find_file(path);
  if (!file) return respond_error(call, no_such_route(call.in.path));
  return respond_file(call, *file);
}

}  // namespace

http::task<void> page(Call& call) {
  // A binding's request whose address was no good: its client wants an error, no page.
  if (!call.in.header("mf-url").empty()) return respond_error(call, no_such_route(call.in.path));
  return respond_path(call, "index.html");
}

http::task<void> page_file(Call& call) {
  constexpr std::string_view kRoot = "/verge/";
  return respond_path(call, std::string_view(call.in.path).substr(kRoot.size()));
}

// Links of the documentation are relative: its first page has one address.
http::task<void> documentation(Call& call) {
  if (page_files().empty()) return respond_absence(call);
  return respond(call, 308, {{"location", "/verge/docs/index.html"}}, "");
}

http::task<void> openapi(Call& call) { return respond_json(call, openapi_document(call.context.catalogue)); }

}  // namespace verge::api
