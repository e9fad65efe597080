// A data folder of one test, and a loop to run coroutines on.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace verge::accounts::testing {

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "verge-accounts-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~FolderTest() override { std::filesystem::remove_all(folder_); }

  // Runs until the coroutine has ended; what it threw fails the test.
  template <class Coroutine>
  void run(Coroutine coroutine) {
    bool ended = false;
    boost::asio::co_spawn(io_, std::move(coroutine), [&](std::exception_ptr failed) {
      ended = true;
      if (failed) std::rethrow_exception(failed);
    });
    io_.restart();
    while (!ended) {
      // Threads post to the loop: it may be empty for a moment.
      if (io_.run_one_for(std::chrono::milliseconds(50)) == 0) io_.restart();
    }
  }

  std::string folder_;
  boost::asio::io_context io_{1};
};

}  // namespace verge::accounts::testing
