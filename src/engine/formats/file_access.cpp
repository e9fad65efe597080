#include "engine/formats/file_access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "support/limits.h"
#include "support/model_file_limits.h"
#include "support/shortage.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::array kExtensions = {".json", ".jinja", ".txt", ".model", ".bin", ".safetensors", ".pth", ".pt", ".th"};

bool is_part_of_a_model(const fs::path& path) {
  const std::string name = path.filename().string(), extension = path.extension().string();
  return !name.starts_with(".") && std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

// One spelling for each path that the readers build: "m/", "m" and "./m" are one folder.
std::string key(const fs::path& path) {
  std::string text = path.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

int64_t change_time(const struct stat& status) { return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec; }

std::shared_ptr<OpenFile> open_path(const fs::path& path) {
  // O_NONBLOCK: a fifo in place of the file must not hang the loader; it means nothing for regular files.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  auto file = std::make_shared<OpenFile>(fd, fd < 0 ? errno : 0);
  struct stat status {};
  if (fd >= 0 && fstat(fd, &status) == 0) {
    file->size = static_cast<uint64_t>(status.st_size);
    file->regular = S_ISREG(status.st_mode);
    file->changed_ns = change_time(status);
  }
  return file;
}

// "x-" of "x-00001-of-00004.gguf"; empty for other names.
std::string split_stem(const std::string& name) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  if (name.size() <= kForm.size()) return {};
  const std::string_view end = std::string_view(name).substr(name.size() - kForm.size());
  for (size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == '0' ? end[i] < '0' || end[i] > '9' : end[i] != kForm[i]) return {};
  }
  return name.substr(0, name.size() - kForm.size() + 1);
}

}  // namespace

OpenFile::~OpenFile() {
  if (fd >= 0) ::close(fd);
}

void ModelFiles::add(const fs::path& path) { files_.emplace(key(path), open_path(path)); }

Result<void> ModelFiles::add_folder(const fs::path& folder, bool inner) {
  std::error_code ec;
  folders_.push_back(key(folder));
  std::vector<fs::path> folders;
  for (fs::directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
    const fs::path& path = at->path();
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      if (!inner && !path.filename().string().starts_with(".")) folders.push_back(path);
    } else if (is_part_of_a_model(path)) {
      if (files_.size() >= limits::kModelFiles) return fail(Code::LoadFailed, "{}: more than {} files", folder.string(), limits::kModelFiles);
      add(path);
    }
  }
  if (ec) return fail(Code::Io, "{}: cannot list its files: {}", folder.string(), ec.message());
  for (const fs::path& one : folders) {
    if (folders_.size() > limits::kModelFolders) break;
    VERGE_TRY(add_folder(one, true));
  }
  return {};
}

Result<ModelFiles> ModelFiles::open(const std::string& path) {
  ModelFiles files;
  std::error_code ec;
  const fs::file_status status = fs::status(path, ec);
  if (ec || !fs::exists(status)) return fail(Code::Io, "{}: cannot open: {}", path, ec ? ec.message() : "No such file or directory");
  if (fs::is_directory(status)) {
    VERGE_TRY(files.add_folder(path, false));
  } else {
    files.add(path);
    const fs::path folder = folder_of(path);
    // Beside a configuration a file stands for its folder; beside a vocabulary it is CTranslate2's.
    const bool model = fs::exists(folder / "config.json", ec) || fs::exists(folder / "vocabulary.txt", ec) || fs::exists(folder / "vocabulary.json", ec);
    if (model && fs::path(path).extension() != ".gguf") VERGE_TRY(files.add_folder(folder, false));
    if (const std::string stem = split_stem(fs::path(path).filename().string()); !stem.empty()) {
      for (const auto& entry : fs::directory_iterator(folder, ec)) {
        if (split_stem(entry.path().filename().string()) != stem) continue;
        if (files.files_.size() > limits::kSplitFiles) break;  // the reader refuses so many
        files.add(folder / entry.path().filename());
      }
    }
  }
  for (const auto& [name, file] : files.files_) {
    if (file->error == EMFILE || file->error == ENFILE) return shortage(fmt::format("{}: cannot open: {}", name, std::strerror(file->error)));
  }
  return files;
}

uint64_t ModelFiles::bytes() const {
  uint64_t sum = 0;
  for (const auto& [name, file] : files_) sum += file->regular ? file->size : 0;
  return sum;
}

// The process's files, where it has given up paths.
class FileAccess {
 public:
  static std::optional<ModelFiles>& only() {
    static std::optional<ModelFiles> files;
    return files;
  }
  static std::shared_ptr<OpenFile> find(const fs::path& path) {
    const auto it = only()->files_.find(key(path));
    return it == only()->files_.end() ? nullptr : it->second;
  }
  static bool has_folder(const fs::path& path) {
    const auto& folders = only()->folders_;
    return std::find(folders.begin(), folders.end(), key(path)) != folders.end();
  }
  static std::vector<fs::path> list(const fs::path& folder) {
    std::vector<fs::path> out;
    for (const auto& [name, file] : only()->files_) {
      if (key(folder_of(name)) == key(folder)) out.push_back(folder / fs::path(name).filename());
    }
    return out;
  }
  static Result<void> unchanged() {
    if (!only()) return {};
    for (const auto& [name, file] : only()->files_) {
      struct stat now {};
      // glibc's fstat() is another system call, one that takes paths: sandboxes refuse it.
      if (!file->used || syscall(SYS_fstat, file->fd, &now) != 0) continue;
      if (static_cast<uint64_t>(now.st_size) != file->size || change_time(now) != file->changed_ns)
        return fail(Code::Busy, "{}: the file was changed while it was read", name);
    }
    return {};
  }
};

void see_only(ModelFiles files) { FileAccess::only() = std::move(files); }
Result<void> unchanged() { return FileAccess::unchanged(); }
void forget_files() { FileAccess::only() = ModelFiles(); }

bool file_exists(const fs::path& path) {
  std::error_code ec;
  if (FileAccess::only()) return FileAccess::find(path) != nullptr || FileAccess::has_folder(path);
  return fs::exists(path, ec);
}

bool is_file(const fs::path& path) {
  std::error_code ec;
  if (!FileAccess::only()) return fs::is_regular_file(path, ec);
  const auto file = FileAccess::find(path);
  return file && file->regular;
}

bool is_folder(const fs::path& path) {
  std::error_code ec;
  return FileAccess::only() ? FileAccess::has_folder(path) : fs::is_directory(path, ec);
}

std::vector<fs::path> files_in(const fs::path& folder) {
  if (FileAccess::only()) return FileAccess::list(folder);
  std::vector<fs::path> out;
  std::error_code ec;
  for (fs::directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) out.push_back(at->path());
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::shared_ptr<OpenFile>> open_file(const fs::path& path) {
  std::shared_ptr<OpenFile> file = FileAccess::only() ? FileAccess::find(path) : open_path(path);
  if (!file) return fail(Code::Io, "{}: cannot open: {}", path.string(), std::strerror(ENOENT));
  if (file->fd < 0) return fail(Code::Io, "{}: cannot open: {}", path.string(), std::strerror(file->error));
  if (!file->regular) return fail(Code::LoadFailed, "{}: not a regular file", path.string());
  file->used = true;
  return file;
}

Result<std::string> read_file(const fs::path& path, uint64_t limit) {
  VERGE_ASSIGN(file, open_file(path));
  if (file->size > limit) return fail(Code::LoadFailed, "{}: {} bytes, limit {}", path.string(), file->size, limit);
  std::string text(file->size, '\0');
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = pread(file->fd, text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(Code::Io, "{}: cannot read: {}", path.string(), n < 0 ? std::strerror(errno) : "it became shorter");
    at += static_cast<size_t>(n);
  }
  return text;
}

}  // namespace verge::engine
