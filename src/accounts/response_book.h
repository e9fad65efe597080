// Answers of the Responses API that accounts may go on from, as one SQLite file. Each has all of
// its input, so that it stands for itself when those before it are deleted or too old. Pure but for
// the file: the time is an argument. Used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/db.h"
#include "support/error.h"
#include "support/responses_limits.h"

namespace verge::accounts {

struct KeptResponse {
  std::string account, id;
  int64_t created_ms = 0;  // Unix time
  std::string
      input;  // JSON array: all items that the model was given, those of earlier answers too
  std::string response;               // JSON object, as the client got it
  std::vector<std::string> item_ids;  // of the items that are new in it: input and output
};

struct ResponseBounds {
  int64_t days = limits::kResponseDays;
  int64_t kept = limits::kResponsesKept;  // of an account
  int64_t bytes = limits::kResponsesBytes;
  int64_t all_bytes = limits::kAllResponsesBytes;
};

// Where bounds are passed an account's oldest go first; past the bound of all, those of the account
// that has most.
class ResponseBook {
 public:
  // `folder`/responses.db. Errors as store::Db's.
  static Result<ResponseBook> open(const std::string& folder, ResponseBounds bounds,
                                   int64_t now_ms);

  // On the disk when it returns. TooLarge: it alone is past a bound.
  Result<void> save(const KeptResponse& response, int64_t now_ms);
  Result<std::optional<KeptResponse>> find(const std::string& account, const std::string& id,
                                           int64_t now_ms);  // without item_ids
  // The newest that has an item of this id.
  Result<std::optional<KeptResponse>> find_item(const std::string& account,
                                                const std::string& item_id, int64_t now_ms);
  Result<bool> remove(const std::string& account, const std::string& id);  // false: there is none

 private:
  struct Share {
    int64_t count = 0, bytes = 0;
  };
  ResponseBook(store::Db db, ResponseBounds bounds) : db_(std::move(db)), bounds_(bounds) {}
  Result<void> remove_old(int64_t now_ms);
  Result<void> insert(const KeptResponse& response, int64_t bytes);
  Result<void> make_room(const std::string& account);
  Result<void> remove_oldest(const std::string& account);
  Result<void> read_shares();
  Result<std::optional<KeptResponse>> first(store::Statement statement, int64_t now_ms);

  store::Db db_;
  ResponseBounds bounds_;
  std::map<std::string, Share, std::less<>> shares_;
  int64_t bytes_ = 0;  // of all accounts
};

}  // namespace verge::accounts
