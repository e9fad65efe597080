// What a running server does for its accounts beside requests: follows `--tokens FILE`, and writes when tokens were used last.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "support/error.h"

namespace verge::accounts {
class Accounts;
}

namespace verge::server {

struct AccountCareOptions {
  std::string token_file;  // --tokens; empty = none
  // Told of what was written.
  std::function<void(const std::map<std::string, int64_t>& used_ms)> used;
};

// Makes `accounts` take the tokens of the file. Errors: Io, InvalidInput with the line.
Result<void> read_token_file(accounts::Accounts& accounts, const std::string& path);

class AccountCare {
 public:
  // The file was read once already. `accounts` outlives it. On the one io thread.
  static std::shared_ptr<AccountCare> make(boost::asio::any_io_executor executor, accounts::Accounts& accounts, AccountCareOptions options);
  virtual ~AccountCare() = default;
  // Writes what is not written yet.
  virtual void stop() = 0;
};

}  // namespace verge::server
