#include "node/io/fingerprint.h"

#include <algorithm>
#include <cassert>
#include <filesystem>
#include <fstream>
#include <vector>

#include "node/io/digest.h"
#include "support/io_thread.h"

namespace verge::node {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kHeadBytes = 1 << 20;    // names, shapes and offsets of tensors stand there
constexpr uint64_t kSampleBytes = 16 << 10;
constexpr int kSamples = 128;

Result<void> add_file(Digest& digest, const fs::path& path, bool named) {
  std::error_code ec;
  const uint64_t size = fs::file_size(path, ec);
  std::ifstream file(path, std::ios::binary);
  if (ec || !file) return fail(Code::Io, "cannot read {}", path.string());
  const std::string title = fmt::format("{}\n{}\n", named ? path.filename().string() : "", size);
  digest.add(title.data(), title.size());
  std::vector<char> bytes(static_cast<size_t>(std::max(kHeadBytes, kSampleBytes)));
  auto take = [&](uint64_t offset, uint64_t count) {
    file.clear();
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(bytes.data(), static_cast<std::streamsize>(std::min(count, size - offset)));
    digest.add(bytes.data(), static_cast<size_t>(file.gcount()));
  };
  if (size > 0) take(0, kHeadBytes);
  if (size > kHeadBytes) {
    for (int i = 0; i < kSamples; ++i) take(kHeadBytes + (size - kHeadBytes) / kSamples * static_cast<uint64_t>(i), kSampleBytes);
  }
  return {};
}

}  // namespace

Result<std::string> fingerprint_of(const std::string& path) {
  assert(!on_io_thread());
  std::error_code ec;
  std::vector<fs::path> files;
  if (fs::is_directory(path, ec)) {
    for (const auto& file : fs::directory_iterator(path, ec))
      if (file.is_regular_file(ec) && file.path().filename() != "verge-model.json") files.push_back(file.path());
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(path);
  }
  if (ec) return fail(Code::Io, "cannot read {}: {}", path, ec.message());
  Digest digest;
  // A single file's name is its owner's choice; those in a folder have meanings.
  for (const fs::path& file : files) VERGE_TRY(add_file(digest, file, files.size() > 1));
  return digest.hex();
}

}  // namespace verge::node
