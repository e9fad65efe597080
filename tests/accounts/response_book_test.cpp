#include "accounts/response_book.h"

#include <filesystem>
#include <fstream>

#include "accounts/response_store.h"
#include "tests/accounts/folder.h"

namespace verge::accounts {
namespace {

class ResponseBookTest : public testing::FolderTest {
 protected:
  static constexpr int64_t kNow = 1'800'000'000'000, kDay = 86'400'000;

  ResponseBook open(ResponseBounds bounds = {}, int64_t now = kNow) {
    auto book = ResponseBook::open(folder_, bounds, now);
    EXPECT_TRUE(book) << book.error().message;
    return std::move(*book);
  }
  static KeptResponse response(std::string account, std::string id, int64_t created = kNow,
                               size_t bytes = 10) {
    return {std::move(account), id, created, std::string(bytes, 'i'), "r", {"msg_" + id}};
  }
  static bool has(ResponseBook& book, const std::string& account, const std::string& id,
                  int64_t now = kNow) {
    const auto found = book.find(account, id, now);
    EXPECT_TRUE(found);
    return found && found->has_value();
  }
};

TEST_F(ResponseBookTest, WhatIsSavedIsThereAfterItIsOpenedAgain) {
  ASSERT_TRUE(open().save(response("a", "1"), kNow));
  ResponseBook book = open();
  const auto found = book.find("a", "1", kNow);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->input, std::string(10, 'i'));
  EXPECT_EQ((*found)->response, "r");
  EXPECT_EQ((*found)->created_ms, kNow);
}

TEST_F(ResponseBookTest, AccountsSeeTheirOwnOnly) {
  ResponseBook book = open();
  ASSERT_TRUE(book.save(response("a", "1"), kNow));
  EXPECT_FALSE(has(book, "b", "1"));
  EXPECT_FALSE(book.find_item("b", "msg_1", kNow)->has_value());
  EXPECT_TRUE(book.find_item("a", "msg_1", kNow)->has_value());
  EXPECT_FALSE(*book.remove("b", "1"));
  EXPECT_TRUE(*book.remove("a", "1"));
  EXPECT_FALSE(*book.remove("a", "1"));
  EXPECT_FALSE(book.find_item("a", "msg_1", kNow)->has_value());
  ASSERT_TRUE(book.save(response("a", "1"), kNow));
  ASSERT_TRUE(book.save(response("b", "1"), kNow));  // ids are an account's own
  EXPECT_FALSE(book.save(response("a", "1"), kNow));
  EXPECT_TRUE(has(book, "a", "1"));
}

TEST_F(ResponseBookTest, TheOldestOfAnAccountGoFirst) {
  ResponseBounds bounds;
  bounds.kept = 3;
  ResponseBook book = open(bounds);
  ASSERT_TRUE(book.save(response("b", "x"), kNow));
  for (const char* id : {"1", "2", "3", "4", "5"}) ASSERT_TRUE(book.save(response("a", id), kNow));
  EXPECT_FALSE(has(book, "a", "2"));
  for (const char* id : {"3", "4", "5"}) EXPECT_TRUE(has(book, "a", id)) << id;
  EXPECT_TRUE(has(book, "b", "x"));
  ASSERT_TRUE(*book.remove("a", "4"));
  ASSERT_TRUE(book.save(response("a", "6"), kNow));
  EXPECT_TRUE(has(book, "a", "3"));
  ResponseBook again = open(bounds);
  ASSERT_TRUE(again.save(response("a", "7"), kNow));
  EXPECT_FALSE(has(again, "a", "3"));
}

TEST_F(ResponseBookTest, BytesAreBoundedOfAnAccountAndOfAll) {
  ResponseBounds bounds;
  bounds.bytes = 1000;
  bounds.all_bytes = 1500;
  ResponseBook book = open(bounds);
  ASSERT_TRUE(book.save(response("a", "1", kNow, 600), kNow));
  ASSERT_TRUE(book.save(response("a", "2", kNow, 600), kNow));
  EXPECT_FALSE(has(book, "a", "1"));
  ASSERT_TRUE(book.save(response("b", "1", kNow, 300), kNow));
  ASSERT_TRUE(book.save(response("b", "2", kNow, 200), kNow));
  EXPECT_TRUE(has(book, "a", "2"));
  ASSERT_TRUE(book.save(response("b", "3", kNow, 400), kNow));  // past the bound of all: b has most
  EXPECT_TRUE(has(book, "a", "2"));
  EXPECT_FALSE(has(book, "b", "1"));
  EXPECT_TRUE(has(book, "b", "3"));
  const auto large = book.save(response("c", "1", kNow, 1001), kNow);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::TooLarge);
  EXPECT_TRUE(has(book, "b", "3"));
}

TEST_F(ResponseBookTest, TheOldAreNotFoundAndRemoved) {
  ResponseBounds bounds;
  bounds.days = 2;
  ResponseBook book = open(bounds);
  ASSERT_TRUE(book.save(response("a", "1"), kNow));
  EXPECT_TRUE(has(book, "a", "1", kNow + 2 * kDay));
  EXPECT_FALSE(has(book, "a", "1", kNow + 2 * kDay + 1));
  EXPECT_FALSE(book.find_item("a", "msg_1", kNow + 3 * kDay)->has_value());
  ASSERT_TRUE(book.save(response("b", "1", kNow + 3 * kDay), kNow + 3 * kDay));
  EXPECT_FALSE(has(book, "a", "1", kNow));  // removed from the file
}

// Promises: RB2.
TEST_F(ResponseBookTest, ADamagedFileIsKeptAsideAndANewOneBegins) {
  std::ofstream(folder_ + "/responses.db") << std::string(5000, 'x');
  auto store = ResponseStore::open(folder_, {});
  ASSERT_TRUE(store) << store.error().message;
  size_t aside = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_))
    aside += file.path().string().find(".damaged-") != std::string::npos;
  EXPECT_EQ(aside, 1u);
  run([&]() -> boost::asio::awaitable<void> {
    auto saving = (*store)->save(response("a", "1", 4'000'000'000'000));
    const Result<void> saved = co_await std::move(saving);
    EXPECT_TRUE(saved);
    auto finding = (*store)->find("a", "1");
    const auto found = co_await std::move(finding);
    EXPECT_TRUE(found && *found);
  });
}

}  // namespace
}  // namespace verge::accounts
