// The response book on a thread of its own: the io thread never waits for the disk.
//
// RB1 save() returns when the answer is on the disk. An answer is reported as kept after it, so that
//     neither kill -9 nor a power cut takes one.
// RB2 A damaged file is kept aside and a new one begun, as of the start.
// Owner: server::Server, on the io thread.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <string>

#include "accounts/response_book.h"

namespace verge {
class Pool;
}

namespace verge::accounts {

class ResponseStore {
 public:
  template <class T>
  using task = boost::asio::awaitable<T>;

  static Result<std::unique_ptr<ResponseStore>> open(const std::string& data_folder,
                                                     ResponseBounds bounds);
  ~ResponseStore();
  ResponseStore(const ResponseStore&) = delete;
  ResponseStore& operator=(const ResponseStore&) = delete;

  // As the book's.
  task<Result<void>> save(KeptResponse response);
  task<Result<std::optional<KeptResponse>>> find(std::string account, std::string id);
  task<Result<std::optional<KeptResponse>>> find_item(std::string account, std::string item_id);
  task<Result<bool>> remove(std::string account, std::string id);

 private:
  explicit ResponseStore(ResponseBook book);
  std::shared_ptr<ResponseBook> book_;  // of the pool's one thread
  std::unique_ptr<Pool> pool_;
};

}  // namespace verge::accounts
