#include "server/watchdog.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace verge::server {
namespace {

// Promises: WD1, SV4.
TEST(WatchdogDeathTest, EndsAProcessThatHangs) {
  EXPECT_EXIT(
      {
        Watchdog watchdog;
        watchdog.arm(0);
        for (;;) ::pause();
      },
      ::testing::ExitedWithCode(1), "stopping took too long");
}

// Promises: WD1.
TEST(WatchdogDeathTest, WaitsForNobodyWhoReadsItsMessage) {
  EXPECT_EXIT(
      {
        int ends[2];
        if (::pipe(ends) != 0) ::_exit(3);
        ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
        while (::write(ends[1], "full", 4) > 0) {}
        ::fcntl(ends[1], F_SETFL, 0);
        ::dup2(ends[1], STDERR_FILENO);
        Watchdog watchdog;
        watchdog.arm(0);
        for (;;) ::pause();
      },
      ::testing::ExitedWithCode(1), "");
}

// Promises: WD1.
TEST(WatchdogTest, OneThatIsNotNeededGoesAtOnce) {
  {
    Watchdog idle;
  }
  Watchdog watchdog;
  watchdog.arm(3600);
  watchdog.arm(1800);
}

}  // namespace
}  // namespace verge::server
