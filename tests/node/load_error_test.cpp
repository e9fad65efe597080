#include "node/load_error.h"

#include <gtest/gtest.h>

#include "support/shortage.h"

namespace verge::node {
namespace {

constexpr const char* kPrivate = "/home/me/secret/m.gguf: tensor '\x1b[2Jroot:x:0:0' is missing";

TEST(LoadError, NamesNoFilesAndQuotesNone) {
  for (const Error& error : {fail(Code::LoadFailed, "{}", kPrivate), fail(Code::Io, "{}", kPrivate), fail(Code::Busy, "{}", kPrivate), fail(Code::Internal, "{}", kPrivate), shortage(kPrivate)}) {
    const Error told = load_error(error, "@x/m");
    EXPECT_NE(told.message.find("@x/m"), std::string::npos);
    for (const char* part : {"/home", "gguf", "root", "\x1b"}) EXPECT_EQ(told.message.find(part), std::string::npos) << told.message;
  }
}

TEST(LoadError, TheCodeSaysWhatMayHelp) {
  EXPECT_EQ(load_error(fail(Code::LoadFailed, "x"), "m").code, Code::LoadFailed);
  EXPECT_FALSE(is_shortage(load_error(fail(Code::LoadFailed, "x"), "m")));
  EXPECT_TRUE(is_shortage(load_error(shortage("x"), "m")));
  EXPECT_EQ(load_error(fail(Code::Io, "x"), "m").code, Code::ModelUnavailable);
  const Error changed = load_error(fail(Code::Busy, "x"), "m");
  EXPECT_EQ(changed.code, Code::Busy);
  EXPECT_GT(changed.retry_after_ms, 0);
}

}  // namespace
}  // namespace verge::node
