// The worker as a process, driven as the node does it: status pipe, socket, signals.
#include "worker/worker.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "protocol/client.h"
#include "support/json.h"
#include "tests/paths.h"
#include "worker/sandbox.h"

namespace verge::worker {
namespace {
namespace asio = boost::asio;

const std::string kStories = std::string(verge::test_data_folder()) + "/models/stories260K/stories260K-f32.gguf";

class Process {
 public:
  // `blocked`: the status pipe is full, so that the process stops at the first line that it would say.
  explicit Process(const std::string& model, bool blocked = false) {
    folder_ = std::filesystem::temp_directory_path() / ("verge-worker-test-" + std::to_string(getpid()) + "-" + std::to_string(count_++));
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "s";
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener, 64), 0);
    int status[2], in[2];
    EXPECT_EQ(pipe2(status, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
    if (blocked) {
      const std::string block(4096, '\n');
      fcntl(status[1], F_SETFL, O_NONBLOCK);
      while (write(status[1], block.data(), block.size()) > 0) {}
      fcntl(status[1], F_SETFL, 0);
    }
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], STDIN_FILENO);
      close(in[1]);  // the child's own copy would keep stdin open
      close(status[0]);
      WorkerOptions options;
      options.host.path = model;
      options.host.threads = 1;
      options.id = "stories";
      options.node = "test";
      options.status_fd = status[1];
      options.listen_fd = listener;
      _exit(run_worker(std::move(options)));
    }
    close(listener);
    close(status[1]);
    close(in[0]);
    status_ = fdopen(status[0], "r");
    stdin_ = in[1];
  }
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    fclose(status_);
    if (stdin_ >= 0) close(stdin_);
    std::filesystem::remove_all(folder_);
  }

  // The next status line that is not "loading"; empty at the end of the pipe.
  json::object last_state() {
    char line[8192];
    while (std::fgets(line, sizeof line, status_)) {
      const auto parsed = parse_json(line);
      EXPECT_TRUE(parsed) << line;
      if (parsed && parsed->at("state") != "loading") return parsed->as_object();
    }
    return {};
  }
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  void close_stdin() {
    close(stdin_);
    stdin_ = -1;
  }
  void signal(int number) { kill(pid_, number); }
  // A file of /proc/PID.
  std::string proc(const std::string& name) const {
    std::ifstream in("/proc/" + std::to_string(pid_) + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  http::Endpoint endpoint() const {
    http::Endpoint endpoint;
    endpoint.unix_path = path_;
    return endpoint;
  }

 private:
  static inline int count_ = 0;
  std::filesystem::path folder_;
  std::string path_;
  pid_t pid_ = -1;
  std::FILE* status_ = nullptr;
  int stdin_ = -1;
};

struct Sink : protocol::EventSink {
  explicit Sink(std::function<void()> first = {}) : on_first(std::move(first)) {}
  protocol::task<bool> put(protocol::Event event) override {
    if (const auto* token = std::get_if<protocol::Token>(&event)) {
      text += token->text;
      ++tokens;
      if (on_first) std::exchange(on_first, {})();
    }
    if (const auto* end = std::get_if<protocol::End>(&event)) finish = end->finish_reason;
    if (const auto* failure = std::get_if<protocol::Failure>(&event)) error = failure->error;
    co_return true;
  }
  std::function<void()> on_first;
  std::string text, finish;
  int tokens = 0;
  Error error;
};

// `logprobs` makes events large: what is on its way when a worker dies is then less than the answer.
protocol::Request request(int max_tokens, int logprobs = -1) {
  protocol::Request r;
  r.id = "r";
  r.model = "stories";
  r.task = "text-generation";
  r.params = {{"prompt", "Once upon a time"}, {"raw", true}, {"max_tokens", max_tokens}, {"temperature", 0}, {"ignore_eos", true}, {"logprobs", logprobs}};
  return r;
}

void ask(asio::io_context& io, protocol::Client& client, Sink& sink, int max_tokens) {
  asio::co_spawn(io, client.run(request(max_tokens), sink), [&client](std::exception_ptr) { client.close_idle(); });
}

TEST(WorkerProcess, LoadsAnswersAndDrains) {
  Process process(kStories);
  const json::object ready = process.last_state();
  ASSERT_EQ(ready.at("state"), "ready") << json::serialize(ready);
  EXPECT_EQ(ready.at("task"), "text-generation");
  EXPECT_EQ(ready.at("architecture"), "llama");
  for (const char* key : {"context_tokens", "pages", "weight_bytes", "kv_bytes"}) EXPECT_GT(ready.at(key).to_number<int64_t>(), 0) << key;

  asio::io_context io;
  protocol::Client client(io.get_executor(), process.endpoint());
  Sink first, second;
  ask(io, client, first, 40);
  ask(io, client, second, 40);
  io.run();
  EXPECT_EQ(first.error.message, "");
  EXPECT_EQ(first.finish, "length");
  EXPECT_FALSE(first.text.empty());
  EXPECT_EQ(first.text, second.text);

  json::object status;
  const auto look = [&]() -> protocol::task<void> {
    auto result = co_await client.status();
    EXPECT_TRUE(result);
    if (result) status = *result;
    client.close_idle();
  };
  asio::co_spawn(io, look(), asio::detached);
  io.restart();
  io.run();
  EXPECT_EQ(status.at("running"), 0);
  EXPECT_GE(status.at("tokens").to_number<int>(), 80);

  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(), 0);
}

std::string field(const std::string& status, const std::string& name) {
  const size_t at = status.find("\n" + name + ":\t");
  return at == status.npos ? "" : status.substr(at + name.size() + 3, status.find('\n', at + 1) - at - name.size() - 3);
}

// Promises: W1.
TEST(WorkerProcess, IsInItsSandboxBeforeItReadsAByte) {
  if (!sandbox_supported()) GTEST_SKIP() << "builds with a sanitizer run without the sandbox";
  const std::string folder = std::string(verge::test_data_folder()) + "/models/tiny-embedder";
  Process process(folder, true);
  while (!process.proc("syscall").starts_with("1 ")) {}  // until it waits for room in the pipe
  const std::string status = process.proc("status");
  EXPECT_EQ(field(status, "Seccomp"), "2");
  EXPECT_EQ(field(status, "NoNewPrivs"), "1");
  EXPECT_EQ(field(status, "CapEff"), "0000000000000000");
  EXPECT_NE(process.proc("limits").find("Max data size             unlimited"), 0u);
  EXPECT_EQ(process.proc("limits").find("Max data size             unlimited"), std::string::npos);
  // Nothing of the files is mapped, and what was read is less than one of them.
  EXPECT_EQ(process.proc("maps").find("tiny-embedder"), std::string::npos);
  const std::string io = process.proc("io");
  EXPECT_LT(std::stoull(io.substr(io.find("rchar: ") + 7)), std::filesystem::file_size(folder + "/tokenizer.json"));
}

// Promises: W1.
TEST(WorkerProcess, EveryKindOfFilesIsReadInTheSandboxAndNoneIsMappedAfterwards) {
  const std::string data = verge::test_data_folder();
  for (const char* model : {"models/stories260K/stories260K-f32.gguf", "models/stories260K", "models/stories260K/config.json", "models/tiny-embedder",
                            "models/tiny-embedder-gguf/tiny.gguf", "models/tiny-embedder-torch", "models/tiny-gemma-embedder", "models/tiny-gemma-embedder-gguf/tiny.gguf",
                            "models/tiny-qwen3-embedder", "models/tiny-classifier", "models/tiny-reranker", "models/resnet20-cifar10"}) {
    SCOPED_TRACE(model);
    Process process(data + "/" + model);
    const json::object ready = process.last_state();
    ASSERT_EQ(ready.at("state"), "ready") << json::serialize(ready);
    EXPECT_EQ(process.proc("maps").find(data), std::string::npos);
    if (sandbox_supported()) {
      EXPECT_EQ(field(process.proc("status"), "Seccomp"), "2");
    }
  }
}

// A file that is written over, cut short or removed under a loaded model changes no answer.
TEST(WorkerProcess, WeightsAreItsOwnOnceLoaded) {
  namespace fs = std::filesystem;
  const fs::path from = fs::path(kStories).parent_path(), folder = fs::temp_directory_path() / ("verge-weights-" + std::to_string(getpid()));
  for (const char* model : {"stories260K-f32.gguf", "."}) {
    SCOPED_TRACE(model);
    fs::copy(from, folder, fs::copy_options::recursive);
    Process process((folder / model).string());
    ASSERT_EQ(process.last_state().at("state"), "ready");
    asio::io_context io;
    protocol::Client client(io.get_executor(), process.endpoint());
    const auto answer = [&] {
      Sink sink;
      ask(io, client, sink, 40);
      io.restart();
      io.run();
      EXPECT_EQ(sink.error.message, "");
      return sink.text;
    };
    const std::string before = answer();
    for (const auto& file : fs::directory_iterator(folder)) {
      std::fstream stream(file.path(), std::ios::binary | std::ios::in | std::ios::out);
      stream << std::string(fs::file_size(file.path()), '\x5a');
    }
    EXPECT_EQ(answer(), before);
    for (const auto& file : fs::directory_iterator(folder)) fs::resize_file(file.path(), 0);
    EXPECT_EQ(answer(), before);
    fs::remove_all(folder);
    EXPECT_EQ(answer(), before);
  }
}

// Promises: W2.
TEST(WorkerProcess, SigtermLetsARunningAnswerEndAndRefusesNewOnes) {
  Process process(kStories);
  ASSERT_EQ(process.last_state().at("state"), "ready");
  asio::io_context io;
  protocol::Client client(io.get_executor(), process.endpoint());
  Sink running([&] { process.signal(SIGTERM); });
  ask(io, client, running, 200);
  io.run();
  ASSERT_EQ(running.error.message, "");
  EXPECT_EQ(running.tokens, 200);
  EXPECT_EQ(process.wait(), 0);
}

// Promises: W2.
TEST(WorkerProcess, ASecondSigtermEndsItAtOnce) {
  Process process(kStories);
  ASSERT_EQ(process.last_state().at("state"), "ready");
  asio::io_context io;
  protocol::Client client(io.get_executor(), process.endpoint());
  Sink running([&] {
    process.signal(SIGTERM);
    process.signal(SIGSTOP);  // so that the two arrive apart
    process.signal(SIGTERM);
    process.signal(SIGCONT);
  });
  ask(io, client, running, 400);
  io.run();
  ASSERT_GT(running.tokens, 0);
  EXPECT_EQ(process.wait(), 0);
}

// Promises: W3.
TEST(WorkerProcess, EndsWhenItsNodeIsGone) {
  Process process(kStories);
  ASSERT_EQ(process.last_state().at("state"), "ready");
  process.close_stdin();
  EXPECT_EQ(process.wait(), 0);
}

TEST(WorkerProcess, ADamagedModelIsToldAndExitsWithThree) {
  Process process(std::string(verge::test_data_folder()) + "/expected/stories260K.json");
  const json::object state = process.last_state();
  ASSERT_EQ(state.at("state"), "failed");
  EXPECT_FALSE(state.at("error").at("message").as_string().empty());
  EXPECT_NE(code_from_string(std::string_view(state.at("error").at("code").as_string())), Code::Internal);
  EXPECT_EQ(process.wait(), 3);
}

TEST(WorkerProcess, KilledInTheMiddleItsClientIsToldAndAnotherGoesOn) {
  asio::io_context io;
  std::string whole;
  {
    Process process(kStories);
    ASSERT_EQ(process.last_state().at("state"), "ready");
    protocol::Client client(io.get_executor(), process.endpoint());
    Sink sink;
    ask(io, client, sink, 450);
    io.run();
    whole = sink.text;
  }
  Process first(kStories), second(kStories);
  ASSERT_EQ(first.last_state().at("state"), "ready");
  ASSERT_EQ(second.last_state().at("state"), "ready");
  struct Ids : Sink {
    using Sink::Sink;
    protocol::task<bool> put(protocol::Event event) override {
      if (const auto* token = std::get_if<protocol::Token>(&event)) ids.insert(ids.end(), token->ids.begin(), token->ids.end());
      co_return co_await Sink::put(std::move(event));
    }
    std::vector<int32_t> ids;
  };
  Ids cut([&] { first.signal(SIGKILL); });
  protocol::Client one(io.get_executor(), first.endpoint()), two(io.get_executor(), second.endpoint());
  asio::co_spawn(io, one.run(request(450, 20), cut), [&](std::exception_ptr) { one.close_idle(); });
  io.restart();
  io.run();
  EXPECT_EQ(cut.error.code, Code::WorkerGone);
  EXPECT_EQ(cut.finish, "");
  EXPECT_LT(cut.ids.size(), 450u);
  Sink rest;
  protocol::Request resume = request(450, 20);
  resume.resume_ids = cut.ids;
  asio::co_spawn(io, two.run(resume, rest), [&](std::exception_ptr) { two.close_idle(); });
  io.restart();
  io.run();
  EXPECT_EQ(cut.text + rest.text, whole);
}

}  // namespace
}  // namespace verge::worker
