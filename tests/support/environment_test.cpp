#include "support/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace verge {
namespace {

TEST(BareEnvironment, HasWhatAProgramNeedsAndNoSecret) {
  setenv("VERGE_TOKEN", "secret", 1);
  setenv("TZ_SECRET", "secret", 1);  // a name that begins like one that is passed on
  setenv("TZ", "UTC", 1);
  setenv("PATH_OF_TEST", "x", 1);
  std::string plain, more;
  for (const char* one : bare_environment())
    if (one) plain += std::string(one) + "\n";
  for (const char* one : bare_environment({"PATH_OF_TEST"}))
    if (one) more += std::string(one) + "\n";
  EXPECT_EQ(plain.find("secret"), std::string::npos);
  EXPECT_NE(plain.find("TZ=UTC\n"), std::string::npos);
  EXPECT_EQ(plain.find("PATH_OF_TEST"), std::string::npos);
  EXPECT_NE(more.find("PATH_OF_TEST=x\n"), std::string::npos);
  EXPECT_EQ(bare_environment().back(), nullptr);
}

}  // namespace
}  // namespace verge
