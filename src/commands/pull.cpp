#include "commands/pull.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "catalogue/catalogue.h"
#include "commands/hub_entry.h"
#include "commands/sizes.h"
#include "node/download_size.h"
#include "node/io/pull.h"
#include "node/io/installed.h"
#include "support/clock.h"
#include "support/json.h"

// What the user sees goes to stderr: a bar on a terminal, a line every tenth elsewhere; the model's
// folder, or with --json one object a line, goes to stdout.
namespace verge::commands {
namespace {

struct Options {
  std::vector<std::string> ids;
  std::string models = node::default_models_folder();
  bool json = false;
};

std::string time_text(int64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
}

// Rate over the last seconds, not since the start: what is resumed costs no time.
class Rate {
 public:
  void at(uint64_t bytes, int64_t now_ms) {
    if (!started_ || bytes < last_) {
      started_ = true;
      last_ = bytes;
      last_ms_ = now_ms;
      return;
    }
    int64_t passed = now_ms - last_ms_;
    if (passed < 500) return;
    double now = static_cast<double>(bytes - last_) * 1000 / static_cast<double>(passed);
    per_s_ = per_s_ == 0 ? now : 0.7 * per_s_ + 0.3 * now;
    last_ = bytes;
    last_ms_ = now_ms;
  }
  double per_s() const { return per_s_; }

 private:
  bool started_ = false;
  uint64_t last_ = 0;
  int64_t last_ms_ = 0;
  double per_s_ = 0;
};

class Display {
 public:
  Display(std::string id, bool json) : id_(std::move(id)), json_(json), terminal_(!json && ::isatty(STDERR_FILENO)) {}
  ~Display() { clear(); }

  void note(const std::string& text) {
    if (json_) return line({{"event", "note"}, {"model", id_}, {"message", text}});
    clear();
    std::fprintf(stderr, "%s\n", text.c_str());
  }

  void progress(const std::string& file, uint64_t done, uint64_t total) {
    int64_t now = monotonic_ms();
    rate_.at(done, now);
    bool whole = total > 0 && done >= total;
    if (now - drawn_ms_ < (terminal_ ? 100 : 500) && !whole) return;
    drawn_ms_ = now;
    int tenth = total > 0 ? static_cast<int>(done * 10 / total) : -1;
    if (json_) {
      line({{"event", "progress"}, {"model", id_}, {"file", file}, {"bytes", done}, {"total", total}, {"bytes_per_s", static_cast<int64_t>(rate_.per_s())}});
    } else if (terminal_) {
      bar(file, done, total);
    } else if (tenth != tenth_ || (total == 0 && now - line_ms_ > 5000)) {
      line_ms_ = now;
      if (total > 0) std::fprintf(stderr, "%s: %d %% of %s\n", file.c_str(), tenth * 10, size_text(total).c_str());
      else std::fprintf(stderr, "%s: %s\n", file.c_str(), size_text(done).c_str());
    }
    tenth_ = tenth;
  }

  void clear() {
    if (terminal_ && drawn_) std::fprintf(stderr, "\r\033[K");
    drawn_ = false;
  }

  void line(json::object object) {
    std::printf("%s\n", json::serialize(object).c_str());
    std::fflush(stdout);
  }

 private:
  void bar(const std::string& file, uint64_t done, uint64_t total) {
    winsize window{};
    int columns = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20 ? window.ws_col : 80;
    std::string right = size_text(done);
    if (total > 0) right += " / " + size_text(total);
    if (rate_.per_s() > 0) right += fmt::format("  {}/s", size_text(static_cast<uint64_t>(rate_.per_s())));
    if (rate_.per_s() > 0 && total > done) right += "  " + time_text(static_cast<int64_t>(static_cast<double>(total - done) / rate_.per_s()));
    int room = columns - static_cast<int>(right.size()) - 4;
    std::string name = file.substr(0, static_cast<size_t>(std::max(8, std::min(36, room / 2))));
    int width = room - static_cast<int>(name.size()) - 2;
    std::string drawn;
    if (total > 0 && width >= 8) {
      int filled = static_cast<int>(static_cast<double>(width) * static_cast<double>(std::min(done, total)) / static_cast<double>(total));
      drawn = " [" + std::string(static_cast<size_t>(filled), '#') + std::string(static_cast<size_t>(width - filled), '.') + "]";
    }
    std::fprintf(stderr, "\r\033[K%s%s %s", name.c_str(), drawn.c_str(), right.c_str());
    std::fflush(stderr);
    drawn_ = true;
  }

  std::string id_;
  bool json_, terminal_, drawn_ = false;
  Rate rate_;
  int64_t drawn_ms_ = 0, line_ms_ = 0;
  int tenth_ = -1;
};

// What the weights may be used for is said before they come.
void tell_licence(const catalogue::Entry& entry, Display& display, bool json) {
  const std::string terms = get_string(entry.properties, "terms").value_or("");
  const node::Download download = node::download_of(entry);
  if (json) {
    display.line({{"event", "model"},
                  {"model", entry.id},
                  {"licence", entry.licence},
                  {"terms", terms},
                  {"bytes", download.bytes},
                  {"exact", download.exact}});
    return;
  }
  std::string text = entry.id;
  if (download.bytes > 0)
    text += fmt::format(", {}{}", download.exact ? "" : "about ", size_text(download.bytes));
  text += ", licence: " + (entry.licence.empty() ? "see where it comes from" : entry.licence);
  display.note(terms.empty() ? text : text + " (" + terms + ")");
}

Result<void> pull_one(const catalogue::Catalogue& catalogue, const std::string& id, const Options& options) {
  VERGE_ASSIGN(own, hub_entry(id));
  const catalogue::Entry* entry = own ? &*own : catalogue.find(id);
  if (!entry) return fail(Code::NoSuchModel, "no model {} in the catalogue. 'verge models' lists it; 'verge pull hub:ORGANISATION/REPOSITORY' takes one that is not in it", id);
  Display display(entry->id, options.json);
  node::PullOptions pull;
  pull.models_folder = options.models;
  pull.hub = node::Hub::from_environment();
  pull.progress = [&](const std::string& file, uint64_t done, uint64_t total) { display.progress(file, done, total); };
  pull.note = [&](const std::string& text) { display.note(text); };
  if (node::installed_path(*entry, options.models).empty()) tell_licence(*entry, display, options.json);
  auto pulled = node::pull(*entry, pull);
  display.clear();
  if (!pulled) return std::move(pulled.error());
  if (options.json) {
    display.line({{"event", "done"}, {"model", entry->id}, {"path", pulled->folder}, {"source", pulled->source}, {"bytes", pulled->bytes}, {"already", pulled->already}});
    return {};
  }
  std::fprintf(stderr, "%s %s (%s)\n", entry->id.c_str(), pulled->already ? "is on this machine" : "is ready", pulled->source.c_str());
  std::printf("%s\n", pulled->folder.c_str());
  return {};
}

}  // namespace

int pull(int argc, char** argv) {
  CLI::App app("Download models. A pull that was interrupted goes on where it stopped.", argv[0]);
  Options options;
  app.add_option("id", options.ids, "Model ids of the catalogue, or hub:ORGANISATION/REPOSITORY[@REVISION]")->required();
  app.add_option("--models", options.models, "Folder of models ($VERGE_MODELS)")->capture_default_str();
  app.add_flag("--json", options.json, "Print one JSON object a line: progress, done, error");
  app.footer("Exit status: 0 all are there, 1 a model could not be pulled, 2 there is no such model.\n"
             "VERGE_HUB is the hub's address, VERGE_HUB_TOKEN (or HF_TOKEN) its token.");
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is then an error that can be told
  auto catalogue = catalogue::Catalogue::load(catalogue::Catalogue::user_folders());
  if (!catalogue) {
    std::fprintf(stderr, "verge pull: %s\n", catalogue.error().message.c_str());
    return 1;
  }
  int status = 0;
  for (const std::string& id : options.ids) {
    auto done = pull_one(*catalogue, id, options);
    if (done) continue;
    status = std::max(status, done.error().code == Code::NoSuchModel ? 2 : 1);
    if (options.json) {
      std::printf("%s\n", json::serialize(json::object{{"event", "error"}, {"model", id}, {"code", to_string(done.error().code)}, {"message", done.error().message}}).c_str());
    }
    std::fprintf(stderr, "verge pull: %s\n", done.error().message.c_str());
  }
  return status;
}

}  // namespace verge::commands
