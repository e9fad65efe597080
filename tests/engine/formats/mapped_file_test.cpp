#include "engine/formats/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/engine/formats/temporary_folder.h"

namespace verge::engine {
namespace {

using testing::TemporaryFolder;

TEST(MappedFile, HoldsTheBytesAfterTheNameIsGone) {
  TemporaryFolder folder;
  const std::string path = folder.write("f", std::string(10'000, 'x').append("end"));
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  std::filesystem::remove(path);
  ASSERT_EQ((*file)->bytes().size(), 10'003u);
  (*file)->release((*file)->bytes().data(), 10'003);
  EXPECT_EQ((*file)->bytes().back(), std::byte{'d'});
  EXPECT_EQ((*file)->bytes().front(), std::byte{'x'});
  EXPECT_EQ((*file)->owned_data(), nullptr);
}

TEST(MappedFile, OnlyRegularFilesWithContent) {
  TemporaryFolder folder;
  const auto code = [](const std::string& path) {
    auto file = MappedFile::open(path);
    EXPECT_FALSE(file.ok());
    EXPECT_NE(file.error().message.find(path), std::string::npos);
    return file.error().code;
  };
  EXPECT_EQ(code(folder.path("missing")), Code::Io);
  EXPECT_EQ(code(folder.write("empty", "")), Code::LoadFailed);
  EXPECT_EQ(code(folder.root()), Code::LoadFailed);
  ASSERT_EQ(mkfifo(folder.path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(code(folder.path("fifo")), Code::LoadFailed);
}

TEST(MappedFile, OwnedBuffersAreZeroedAndKept) {
  auto file = MappedFile::allocate(100'000, "owner");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->bytes()[99'999], std::byte{0});
  (*file)->owned_data()[50'000] = std::byte{7};
  (*file)->release((*file)->bytes().data(), 100'000);  // would lose the content of an owned buffer
  EXPECT_EQ((*file)->bytes()[50'000], std::byte{7});
  EXPECT_FALSE(MappedFile::allocate(size_t{1} << 60, "owner").ok());
}

}  // namespace
}  // namespace verge::engine
