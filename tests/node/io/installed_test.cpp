// What is on the disk, and that it is noticed when it changes.
#include "node/io/installed.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <functional>

#include "node/io/fingerprint.h"
#include "node/io/inspections.h"
#include "support/io_thread.h"
#include "support/spawn.h"

namespace verge::node {
namespace {

namespace fs = std::filesystem;

class InstalledTest : public testing::Test {
 protected:
  InstalledTest() {
    std::string pattern = testing::TempDir() + "verge-installed-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    auto loaded = catalogue::Catalogue::load({});
    EXPECT_TRUE(loaded);
    catalogue_ = std::move(*loaded);
    options_.models_folder = root_;
  }
  ~InstalledTest() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((fs::path(root_) / name).parent_path());
    std::ofstream(fs::path(root_) / name, std::ios::binary) << text;
  }
  Installations look() { return look_for(sought_models(catalogue_, options_), root_); }

  std::string root_;
  catalogue::Catalogue catalogue_;
  ResolveOptions options_;
};

constexpr const char* kId = "@cf/baai/bge-small-en-v1.5";

TEST_F(InstalledTest, EachChangeOfFilesIsNoticed) {
  const std::string folder = std::string(kId) + "/";
  EXPECT_FALSE(look().contains(kId));
  write(folder + "model.safetensors", "abc");
  EXPECT_FALSE(look().contains(kId)) << "a download that is not over";
  write(folder + "verge-model.json", "{}");
  const Installed first = look().at(kId);
  EXPECT_EQ(first.bytes, 3u);
  EXPECT_EQ(look().at(kId), first) << "nothing changed";
  write(folder + "config.json", "{}");
  const Installed second = look().at(kId);
  EXPECT_NE(second.stamp, first.stamp) << "one more";
  write(folder + "new", "xyz");
  fs::rename(fs::path(root_) / folder / "new", fs::path(root_) / folder / "model.safetensors");
  const Installed third = look().at(kId);
  EXPECT_NE(third.stamp, second.stamp) << "another file of the same size";
  write(folder + "model.gguf", "GGUF");
  EXPECT_NE(look().at(kId).path, third.path);
  fs::remove_all(fs::path(root_) / folder);
  EXPECT_FALSE(look().contains(kId));
}

TEST_F(InstalledTest, GivenPathsComeFirst) {
  write("mine.gguf", "GGUF");
  options_.paths[kId] = root_ + "/mine.gguf";
  options_.paths["@me/unknown"] = root_ + "/absent.gguf";
  const Installations found = look();
  EXPECT_EQ(found.at(kId).path, root_ + "/mine.gguf");
  EXPECT_FALSE(found.contains("@me/unknown"));
}

// The kind of defect: whoever calls these from a handler or coroutine of the io thread ends the program.
// Promises: N5.
TEST_F(InstalledTest, TheIoThreadIsKeptFromTheDisk) {
  EXPECT_FALSE(on_io_thread());
  const auto on_io = [](const std::function<void()>& work) {
    boost::asio::io_context io;
    boost::asio::post(io, work);
    run_loop(io);
  };
  bool seen = false;
  on_io([&] { seen = on_io_thread(); });
  EXPECT_TRUE(seen);
  EXPECT_FALSE(on_io_thread());
  Inspections inspections("", "", [](const std::string&) -> Result<ModelFacts> { return ModelFacts{}; });
  EXPECT_DEATH(on_io([&] { (void)look(); }), "on_io_thread");
  EXPECT_DEATH(on_io([&] { (void)look_at(root_); }), "on_io_thread");
  EXPECT_DEATH(on_io([&] { (void)fingerprint_of(root_); }), "on_io_thread");
  EXPECT_DEATH(on_io([&] { (void)inspections.of(Installed{root_, 1, "s"}); }), "on_io_thread");
}

TEST_F(InstalledTest, EachFileIsAskedAboutOnce) {
  const ModelFacts facts{"text-generation", "llama", 2048, {{"host", 1000, 10, 100}}};
  int asked = 0;
  const auto ask = [&](const std::string&) -> Result<ModelFacts> { return ++asked, facts; };
  const std::string kept = root_ + "/models.json", path = root_ + "/a.gguf";
  write("a.gguf", "one");
  std::string fingerprint;
  {
    Inspections inspections(kept, "native", ask);
    EXPECT_FALSE(inspections.known(look_at(path)));
    const auto first = inspections.of(look_at(path));
    ASSERT_TRUE(first);
    fingerprint = first->fingerprint;
    EXPECT_EQ(first->facts, facts);
    EXPECT_EQ(inspections.known(look_at(path)), facts);
    EXPECT_TRUE(inspections.of(look_at(path)));
    EXPECT_EQ(asked, 1);
    fs::copy_file(path, root_ + "/copy.gguf");
    EXPECT_EQ(inspections.of(look_at(root_ + "/copy.gguf"))->fingerprint, fingerprint);
    EXPECT_EQ(asked, 1) << "the same bytes under another name";
  }
  {
    Inspections again(kept, "native", ask);
    EXPECT_EQ(again.known(look_at(path)), facts) << "kept over a start";
    write("a.gguf", "two!");
    EXPECT_FALSE(again.known(look_at(path)));
    EXPECT_NE(again.of(look_at(path))->fingerprint, fingerprint);
    EXPECT_EQ(asked, 2);
  }
  EXPECT_FALSE(Inspections(kept, "f32", ask).known(look_at(path))) << "answers of other settings";
  std::ofstream(kept, std::ios::trunc) << R"({"settings":7,"files":[],"models":{"x":{"task":1}}})";
  EXPECT_FALSE(Inspections(kept, "native", ask).known(look_at(path))) << "a file of nobody's";
}

TEST_F(InstalledTest, WhatFailsIsAskedAgain) {
  write("a.gguf", "one");
  int asked = 0;
  Inspections inspections("", "", [&](const std::string& path) -> Result<ModelFacts> { return ++asked, fail(Code::LoadFailed, "{}: damaged", path); });
  EXPECT_FALSE(inspections.of(look_at(root_ + "/a.gguf")));
  EXPECT_FALSE(inspections.of(look_at(root_ + "/a.gguf")));
  EXPECT_EQ(asked, 2);
  EXPECT_FALSE(inspections.of(look_at(root_ + "/absent.gguf")));
}

}  // namespace
}  // namespace verge::node
