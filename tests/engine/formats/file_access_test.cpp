#include "engine/formats/file_access.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "engine/formats/model_file.h"
#include "tests/paths.h"

namespace verge::engine {
namespace {

namespace fs = std::filesystem;

class FileAccessTest : public ::testing::Test {
 protected:
  FileAccessTest() {
    std::string pattern = (fs::temp_directory_path() / "verge-files-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~FileAccessTest() override { fs::remove_all(folder_); }
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  // `check` in a process that has given up paths; 0 = it held.
  static int seeing_only(const std::string& path, const std::function<bool()>& check) {
    const pid_t child = fork();
    if (child == 0) {
      auto files = ModelFiles::open(path);
      if (!files) _exit(100);
      see_only(std::move(*files));
      _exit(check() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
  }
  fs::path folder_;
};

TEST_F(FileAccessTest, OfAFolderItsModelIsThereAndNothingElse) {
  write("config.json", "{}");
  write("1_Pooling/config.json", "{}");
  write("notes.md", "x");
  write(".secret.json", "x");
  EXPECT_EQ(seeing_only(folder_.string() + "/", [&] {
              return is_folder(folder_) && is_file(folder_ / "config.json") && is_file(folder_ / "1_Pooling" / "config.json") && !file_exists(folder_ / "notes.md") &&
                     !file_exists(folder_ / ".secret.json") && files_in(folder_).size() == 1 && *read_file(folder_ / "./config.json", 10) == "{}";
            }), 0);
}

TEST_F(FileAccessTest, NoOtherPathIsThereHoweverItIsWritten) {
  write("config.json", "{}");
  const std::string inside = folder_.string();
  EXPECT_EQ(seeing_only(inside, [&] {
              for (const std::string& path : {std::string("/etc/passwd"), inside + "/../../../../etc/passwd", std::string("/proc/self/environ"), std::string("/dev/stdin")})
                if (file_exists(path) || open_file(path) || read_file(path, 1 << 20)) return false;
              return files_in("/etc").empty() && !is_folder("/");
            }), 0);
}

// A name that came after the files were opened is not followed, and what was opened stays what it was.
TEST_F(FileAccessTest, APathIsResolvedOnce) {
  const fs::path config = write("config.json", "old");
  EXPECT_EQ(seeing_only(folder_.string(), [&] {
              fs::remove(config);
              fs::create_symlink("/etc/passwd", config);
              write("tokenizer.json", "x");
              return *read_file(config, 100) == "old" && !file_exists(folder_ / "tokenizer.json");
            }), 0);
}

TEST_F(FileAccessTest, BesideAFileStandsWhatBelongsToIt) {
  const fs::path first = write("m-00001-of-00002.gguf", "a"), second = write("m-00002-of-00002.gguf", "b"), other = write("n.gguf", "c");
  EXPECT_EQ(seeing_only(first.string(), [&] { return is_file(first) && is_file(second) && !file_exists(other); }), 0);
  EXPECT_EQ(seeing_only(other.string(), [&] { return is_file(other) && !file_exists(first); }), 0);
  const fs::path weights = write("hub/model.safetensors", "a"), config = write("hub/config.json", "{}");
  EXPECT_EQ(seeing_only(weights.string(), [&] { return is_file(weights) && is_file(config); }), 0);
}

TEST_F(FileAccessTest, WhatIsNoFileIsNoneAndHangsNobody) {
  mkfifo((folder_ / "config.json").c_str(), 0600);
  EXPECT_EQ(seeing_only(folder_.string(), [&] { return !is_file(folder_ / "config.json") && !open_file(folder_ / "config.json"); }), 0);
  EXPECT_EQ(ModelFiles::open(folder_ / "absent").error().code, Code::Io);
}

TEST_F(FileAccessTest, AChangeWhileAFileIsReadIsSeen) {
  const fs::path used = write("config.json", "{}"), unused = write("tokenizer.json", "{}");
  EXPECT_EQ(seeing_only(folder_.string(), [&] {
              if (!read_file(used, 10) || !unchanged()) return false;
              write("tokenizer.json", "{ }");
              if (!unchanged()) return false;  // nobody has read it
              write("config.json", "{ }");
              return unchanged().error().code == Code::Busy;
            }), 0);
  // The same length, in place.
  EXPECT_EQ(seeing_only(folder_.string(), [&] {
              if (!read_file(used, 10)) return false;
              const timespec times[] = {{1, 0}, {2, 0}};
              return utimensat(AT_FDCWD, used.c_str(), times, 0) == 0 && !unchanged();
            }), 0);
  // Another file in its place is another matter: the one that is open is whole.
  EXPECT_EQ(seeing_only(folder_.string(), [&] {
              if (!read_file(used, 10)) return false;
              fs::rename(write("new.json", "[]"), used);
              return unchanged().ok();
            }), 0);
}

TEST_F(FileAccessTest, ReadersOfEveryFormatGetAlongWithIt) {
  const std::string data = verge::test_data_folder();
  for (const char* model : {"models/stories260K/stories260K-f32.gguf", "models/stories260K", "models/tiny-gemma-embedder", "models/tiny-embedder-torch", "speech/small"}) {
    const std::string path = data + "/" + model;
    EXPECT_EQ(seeing_only(path, [&] { return open_container(path).ok(); }), 0) << model;
  }
}

}  // namespace
}  // namespace verge::engine
