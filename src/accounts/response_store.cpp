#include "accounts/response_store.h"

#include <filesystem>
#include <functional>
#include <utility>

#include "support/clock.h"
#include "support/log.h"
#include "support/pool.h"

namespace verge::accounts {
namespace {

// Pool::run() as a function that is none of a coroutine's temporaries.
template <class T>
boost::asio::awaitable<Result<T>> on_thread(Pool& pool, std::shared_ptr<ResponseBook> book,
                                            std::function<Result<T>(ResponseBook&)> work) {
  std::function<Result<T>(const Pool::Abandoned&)> job =
      [book = std::move(book), work = std::move(work)](const Pool::Abandoned&) {
        return work(*book);
      };
  return pool.run<T>(std::move(job));
}

}  // namespace

Result<std::unique_ptr<ResponseStore>> ResponseStore::open(const std::string& data_folder,
                                                           ResponseBounds bounds) {
  auto book = ResponseBook::open(data_folder, bounds, unix_ms());
  if (!book && book.error().code == Code::LoadFailed) {
    const std::string path = (std::filesystem::path(data_folder) / "responses.db").string();
    const std::string aside = fmt::format("{}.damaged-{}", path, unix_ms());
    std::error_code ec;
    std::filesystem::rename(path, aside, ec);
    for (const char* beside : {"-wal", "-shm", "-journal"})
      std::filesystem::remove(path + beside, ec);
    log::error("responses.db is damaged: it is kept aside, and a new one begins",
               {{"error", book.error().message}, {"aside", aside}});
    book = ResponseBook::open(data_folder, bounds, unix_ms());
  }
  if (!book) return book.error();
  return std::unique_ptr<ResponseStore>(new ResponseStore(std::move(*book)));
}

ResponseStore::ResponseStore(ResponseBook book)
    : book_(std::make_shared<ResponseBook>(std::move(book))), pool_(std::make_unique<Pool>(1)) {}
ResponseStore::~ResponseStore() = default;

ResponseStore::task<Result<void>> ResponseStore::save(KeptResponse response) {
  std::function<Result<bool>(ResponseBook&)> work =
      [response = std::move(response)](ResponseBook& book) -> Result<bool> {
    VERGE_TRY(book.save(response, unix_ms()));
    return true;
  };
  auto saving = on_thread<bool>(*pool_, book_, std::move(work));
  const Result<bool> saved = co_await std::move(saving);
  if (!saved) co_return saved.error();
  co_return Result<void>();
}

ResponseStore::task<Result<std::optional<KeptResponse>>> ResponseStore::find(std::string account,
                                                                             std::string id) {
  return on_thread<std::optional<KeptResponse>>(
      *pool_, book_, [account = std::move(account), id = std::move(id)](ResponseBook& book) {
        return book.find(account, id, unix_ms());
      });
}

ResponseStore::task<Result<std::optional<KeptResponse>>> ResponseStore::find_item(
    std::string account, std::string item_id) {
  return on_thread<std::optional<KeptResponse>>(
      *pool_, book_, [account = std::move(account), id = std::move(item_id)](ResponseBook& book) {
        return book.find_item(account, id, unix_ms());
      });
}

ResponseStore::task<Result<bool>> ResponseStore::remove(std::string account, std::string id) {
  return on_thread<bool>(*pool_, book_,
                         [account = std::move(account), id = std::move(id)](ResponseBook& book) {
                           return book.remove(account, id);
                         });
}

}  // namespace verge::accounts
