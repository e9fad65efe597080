#include "node/io/zip.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/node/io/zip_writer.h"

namespace verge::node {
namespace {

class Zip : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "verge-zip-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/a.zip"; }
  void write(const std::string& archive) { std::ofstream(path(), std::ios::binary) << archive; }
  Result<std::string> read(const std::string& archive, const std::string& name) {
    write(archive);
    return read(name);
  }
  Result<std::string> read(const std::string& name) {
    VERGE_ASSIGN(zip, ZipFile::open(path()));
    const ZipFile::Member* member = zip.find(name);
    if (!member) return fail(Code::NotFound, "no member");
    std::string out;
    VERGE_TRY(zip.read(*member, [&](const char* data, size_t n) -> Result<void> {
      out.append(data, n);
      return {};
    }));
    return out;
  }

  std::string folder_;
};

std::string noise(size_t n) {
  std::string s;
  uint32_t x = 1;
  for (size_t i = 0; i < n; ++i) s.push_back(static_cast<char>((x = x * 1664525 + 1013904223) >> 24));
  return s;
}

TEST_F(Zip, ReadsStoredAndDeflatedMembers) {
  const std::string large = noise(700'000) + std::string(900'000, 'x');
  for (bool zip64 : {false, true}) {
    std::string archive = make_zip({{"a/x.bin", large, false}, {"a/y.bin", large, true}, {"empty", "", false}, {"none", "", true}}, zip64);
    EXPECT_EQ(*read(archive, "a/x.bin"), large);
    EXPECT_EQ(*read(archive, "a/y.bin"), large);
    EXPECT_EQ(*read(archive, "empty"), "");
    EXPECT_EQ(*read(archive, "none"), "");
    EXPECT_EQ(read(archive, "a/z.bin").error().code, Code::NotFound);
  }
}

TEST_F(Zip, EveryCutIsAnError) {
  std::string archive = make_zip({{"x", noise(300), false}, {"y", std::string(3000, 'y'), true}});
  write(archive);
  for (size_t n = archive.size(); n-- > 0;) {
    std::filesystem::resize_file(path(), n);
    EXPECT_FALSE(read("x").ok()) << n;
  }
}

TEST_F(Zip, EveryFlippedByteIsAnErrorOrTheSameContent) {
  for (bool zip64 : {false, true}) {
    const std::string x = noise(100), y(400, 'y');
    const std::string archive = make_zip({{"stored", x, false}, {"packed", y, true}}, zip64);
    write(archive);
    int fd = ::open(path().c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    for (size_t i = 0; i < archive.size(); ++i) {
      for (char flip : {'\x01', '\x80', '\0'}) {  // the last puts the byte back
        char damaged = static_cast<char>(archive[i] ^ flip);
        ASSERT_EQ(::pwrite(fd, &damaged, 1, static_cast<off_t>(i)), 1);
        if (flip == 0) continue;
        for (const auto& [name, content] : {std::pair{"stored", x}, std::pair{"packed", y}}) {
          auto got = read(name);
          EXPECT_TRUE(!got.ok() || *got == content) << name << ", byte " << i;
        }
      }
    }
    ::close(fd);
  }
}

TEST_F(Zip, AMemberGivesNoMoreThanItSays) {
  // A deflate bomb under an entry that promises ten bytes.
  std::string archive = make_zip({{"x", std::string(5'000'000, 'a'), true}});
  size_t at = archive.rfind(std::string("PK\x01\x02", 4));
  ASSERT_NE(at, std::string::npos);
  archive.replace(at + 24, 4, std::string("\x0a\0\0\0", 4));
  auto got = read(archive, "x");
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::LoadFailed);
}

}  // namespace
}  // namespace verge::node
