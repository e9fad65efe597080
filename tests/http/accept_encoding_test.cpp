#include "http/accept_encoding.h"

#include <gtest/gtest.h>

namespace verge::http {
namespace {

TEST(AcceptEncoding, WeightsAndStars) {
  struct Case {
    const char* list;
    bool gzip, brotli;
  };
  for (const Case& one : {Case{"", false, false}, Case{"gzip", true, false}, Case{"gzip, deflate, br, zstd", true, true},
                          Case{"BR;q=1.0, GZIP;q=0", false, true}, Case{"*", true, true}, Case{"*;q=0", false, false},
                          Case{"br;q=0.000, *", true, false}, Case{"identity", false, false}, Case{"x-gzip ; q=0.5", true, false},
                          Case{",, ;q=1, gzipped", false, false}, Case{"gzip;q=0.001", true, false}}) {
    const AcceptedCodings found = accepted_codings(one.list);
    EXPECT_EQ(found.gzip, one.gzip) << one.list;
    EXPECT_EQ(found.brotli, one.brotli) << one.list;
  }
}

}  // namespace
}  // namespace verge::http
