#include "server/account_care.h"

#include <sys/stat.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <tuple>

#include "accounts/accounts.h"
#include "accounts/token_file.h"
#include "support/log.h"
#include "support/spawn.h"

namespace verge::server {
namespace {

namespace asio = boost::asio;

constexpr int kLookMs = 1'000;
constexpr int kWriteEvery = 60;              // looks
constexpr int64_t kFileBytes = 16 << 20;

// Of a file's content, as far as the file system tells. A link is followed: Kubernetes replaces what it leads to.
using Mark = std::tuple<ino_t, off_t, time_t, long>;
std::optional<Mark> mark_of(const std::string& path) {
  struct stat now {};
  if (::stat(path.c_str(), &now) != 0) return std::nullopt;
  return Mark{now.st_ino, now.st_size, now.st_mtim.tv_sec, now.st_mtim.tv_nsec};
}

class Care : public AccountCare, public std::enable_shared_from_this<Care> {
 public:
  Care(asio::any_io_executor executor, accounts::Accounts& accounts, AccountCareOptions options)
      : accounts_(accounts), options_(std::move(options)), timer_(executor), seen_(mark_of(options_.token_file)) {}

  asio::awaitable<void> looks() {
    for (int i = 1; !stopped_; ++i) {
      timer_.expires_after(std::chrono::milliseconds(kLookMs));
      boost::system::error_code ignored;
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      if (stopped_) co_return;
      follow_file();
      if (i % kWriteEvery == 0) write();
    }
  }

  void stop() override {
    if (stopped_) return;
    stopped_ = true;
    timer_.cancel();
    write();
  }

 private:
  void follow_file() {
    if (options_.token_file.empty()) return;
    const auto now = mark_of(options_.token_file);
    if (now == seen_) return;
    seen_ = now;
    auto read = read_token_file(accounts_, options_.token_file);
    if (read) log::info("the file of tokens was read again", {{"file", options_.token_file}});
    else log::error("the file of tokens cannot be taken: those that it had before stay good", {{"why", read.error().message}});
  }

  void write() {
    auto news = accounts_.write_uses();
    if (!news) log::warn("the last use of tokens cannot be written", {{"why", news.error().message}});
    else if (options_.used && !news->empty()) options_.used(*news);
  }

  accounts::Accounts& accounts_;
  AccountCareOptions options_;
  asio::steady_timer timer_;
  std::optional<Mark> seen_;
  bool stopped_ = false;
};

}  // namespace

Result<void> read_token_file(accounts::Accounts& accounts, const std::string& path) {
  struct stat info {};
  std::ifstream file(path);
  if (!file || ::stat(path.c_str(), &info) != 0) return fail(Code::Io, "--tokens: cannot read {}: {}", path, std::strerror(errno));
  if (!S_ISREG(info.st_mode) || info.st_size > kFileBytes) return fail(Code::Io, "--tokens: {} is no file of at most {} bytes", path, kFileBytes);
  std::stringstream text;
  text << file.rdbuf();
  auto tokens = accounts::parse_token_file(text.str());
  if (!tokens) return fail(Code::InvalidInput, "--tokens: {}: {}", path, tokens.error().message);
  return accounts.use_file(std::move(*tokens));
}

std::shared_ptr<AccountCare> AccountCare::make(asio::any_io_executor executor, accounts::Accounts& accounts, AccountCareOptions options) {
  auto care = std::make_shared<Care>(executor, accounts, std::move(options));
  spawn(executor, "tending accounts", [care] { return care->looks(); });
  return care;
}

}  // namespace verge::server
