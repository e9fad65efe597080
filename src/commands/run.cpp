// `verge run MODEL [PROMPT]`. Where the answer comes from is asker.h's business (this process, or a server);
// this file reads the command line and shows. With a prompt, on the command line or through a pipe: one
// answer on stdout, as it is made. Without, on a terminal: a chat that keeps its history.
// Exit codes: 0 answered, 1 failed, 2 wrong use.
#include "commands/run.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "catalogue/catalogue.h"
#include "commands/asker.h"
#include "commands/run_task.h"
#include "commands/schema_file.h"
#include "engine/task_of.h"
#include "node/io/installed.h"
#include "support/base64.h"
#include "support/limits.h"
#include "support/log.h"
#include "support/random.h"
#include "worker/confine.h"

namespace verge::commands {
namespace {

struct Options {
  std::string model, prompt, image, audio, system, server;
  std::string payload;  // what the file of --image or --audio holds
  std::vector<std::string> texts, tool_files;
  json::array tools;       // of the files of --tool
  std::string schema_file;
  std::optional<json::value> schema;  // what it holds
  std::optional<uint64_t> seed;
  std::optional<double> temperature;
  std::optional<int64_t> max_tokens;
  int threads = 0;
  bool has_prompt = false;
  bool piped = false;  // standard input; asked before the sandbox, which knows no files
  bool json = false, raw = false, verbose = false;
};

int complain(const std::string& message, int code = 1) {
  std::fprintf(stderr, "verge run: %s\n", message.c_str());
  return code;
}

// The model's files are foreign: from here on this process opens nothing else.
Result<void> confine(const LocalTask& local) {
  worker::HostOptions host;
  host.path = local.path;
  host.threads = local.threads;
  return worker::confine_command(host);
}

// A model on this machine: its path, and its task as its files or the catalogue tell.
Result<LocalTask> locate(const Options& options) {
  LocalTask local;
  local.threads = options.threads;
  std::error_code ec;
  if (std::filesystem::exists(options.model, ec)) {
    local.path = options.model;
    local.entry.id = options.model;
    VERGE_TRY(confine(local));
    VERGE_ASSIGN(task, engine::task_of(local.path));
    local.entry.task = std::move(task);
    return local;
  }
  VERGE_ASSIGN(catalogue, catalogue::Catalogue::load(catalogue::Catalogue::user_folders()));
  if (!catalogue::valid_id(options.model)) return fail(Code::NoSuchModel, "no such file: {}", options.model);
  node::ResolveOptions resolve;
  resolve.models_folder = node::default_models_folder();
  const node::Installations installed = node::look_for(node::sought_models(catalogue, resolve), resolve.models_folder);
  VERGE_ASSIGN(resolved, node::resolve_model(catalogue, resolve, installed, options.model));
  local.path = resolved.files.path;
  if (const catalogue::Entry* entry = catalogue.find(resolved.id)) {
    local.entry = *entry;
    if (const json::object* input = get_object(catalogue.schema(*entry), "input")) local.schema = *input;
  }
  VERGE_TRY(confine(local));
  return local;
}

std::string token_of_environment() {
  const char* token = std::getenv("VERGE_TOKEN");
  return token ? token : "";
}

Result<std::unique_ptr<Asker>> make_asker(const Options& options, const LocalTask& local) {
  if (!options.server.empty()) return make_remote_asker(options.server, options.model, token_of_environment());
  return make_local_asker({local.path, local.entry.id, options.threads, isatty(STDERR_FILENO) != 0});
}

Question question_of(const Options& options) {
  Question question;
  question.raw = options.raw;
  question.tools = options.tools;
  question.schema = options.schema;
  question.temperature = options.temperature;
  question.max_tokens = options.max_tokens;
  question.seed = options.seed.value_or(1 + random_u64() % 9'999'999'999);  // the published range
  return question;
}

// What an answer lacks of the schema that was asked for. Empty: nothing.
std::string unmet(const Answer& answer, const Options& options) {
  // A server says of its own that JSON Mode couldn't be met.
  const bool cut = answer.finish_reason == "length" || answer.finish_reason == "interrupted";
  if (!options.schema || !cut) return {};
  return fmt::format("the answer does not meet {}: it ended early ({}); raise --max-tokens",
                     options.schema_file, answer.finish_reason);
}

json::object message(const char* role, const std::string& content) { return {{"role", role}, {"content", content}}; }

void print_figures(const Answer& a) {
  const double decode_s = a.total_s - a.first_token_s;
  const double rate = decode_s > 0 && a.usage.completion_tokens > 1 ? static_cast<double>(a.usage.completion_tokens - 1) / decode_s : 0;
  std::fprintf(stderr, "model %s, %lld prompt tokens (%lld cached), %lld answer tokens, first token after %.3f s, then %.1f tokens/s, finish: %s\n",
               a.model.c_str(), static_cast<long long>(a.usage.prompt_tokens), static_cast<long long>(a.usage.cached_tokens),
               static_cast<long long>(a.usage.completion_tokens), a.first_token_s, rate, a.finish_reason.empty() ? "-" : a.finish_reason.c_str());
}

void show(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// Calls as the native answer has them; one that was cut is left out.
json::array calls_of(const Answer& answer) {
  json::array out;
  for (const protocol::ToolCall& call : answer.generated.calls)
    if (auto arguments = parse_json(call.arguments, 128))
      out.push_back(json::object{{"name", call.name}, {"arguments", std::move(*arguments)}});
  return out;
}

int answer_once(Asker& asker, const Options& options, const std::string& prompt) {
  Question question = question_of(options);
  question.prompt = prompt;
  if (!options.system.empty()) question.messages = {message("system", options.system), message("user", prompt)};
  const auto answer = asker.ask(question, false, options.json ? [](std::string_view) {} : show);
  if (!answer) {
    if (!options.json) std::printf("\n");
    return complain(named_by_file(answer.error(), options.schema_file).message);
  }
  if (options.json) {
    const protocol::Usage& u = answer->usage;
    json::object out{{"response", answer->text},
                     {"usage",
                      {{"prompt_tokens", u.prompt_tokens},
                       {"completion_tokens", u.completion_tokens},
                       {"total_tokens", u.prompt_tokens + u.completion_tokens}}},
                     {"model", answer->model}};
    if (json::array calls = calls_of(*answer); !calls.empty()) out["tool_calls"] = std::move(calls);
    if (!answer->generated.reasoning.empty()) out["reasoning_content"] = answer->generated.reasoning;
    if (!answer->finish_reason.empty()) out["finish_reason"] = answer->finish_reason;
    std::printf("%s\n", json::serialize(out).c_str());
  } else {
    const json::array calls = calls_of(*answer);
    if (!answer->text.ends_with('\n') && (calls.empty() || !answer->text.empty())) std::printf("\n");
    for (const json::value& call : calls) std::printf("%s\n", json::serialize(call).c_str());
  }
  if (options.verbose) print_figures(*answer);
  if (const std::string lacks = unmet(*answer, options); !lacks.empty()) return complain(lacks);
  return 0;
}

int chat(Asker& asker, const Options& options) {
  json::array history;
  const auto restart = [&] {
    history.clear();
    if (!options.system.empty()) history.push_back(message("system", options.system));
  };
  restart();
  std::printf("Chat with %s. /clear forgets, /bye or Ctrl-D ends, Ctrl-C stops an answer.\n", options.model.c_str());
  std::string line;
  while (std::printf(">>> "), std::fflush(stdout), std::getline(std::cin, line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (line == "/bye" || line == "/exit" || line == "/quit") return 0;
    if (line == "/clear") {
      restart();
      std::printf("Forgotten.\n");
      continue;
    }
    if (line == "/help" || line == "/?") {
      std::printf("/clear  forget what was said\n/bye    end\nCtrl-C  stop an answer\n");
      continue;
    }
    Question question = question_of(options);
    question.messages = history;
    question.messages.push_back(message("user", line));
    const auto answer = asker.ask(question, true, show);
    std::printf("\n");
    if (!answer) {
      complain(named_by_file(answer.error(), options.schema_file).message);
      if (answer.error().code == Code::ContextOverflow) std::fprintf(stderr, "/clear starts anew.\n");
      continue;
    }
    if (options.verbose) print_figures(*answer);
    // An answer that was cut off is kept as far as it went, as the reader saw it.
    history = std::move(question.messages);
    history.push_back(message("assistant", answer->text));
  }
  std::printf("\n");
  return 0;
}

// Whether something was piped or redirected into the command; terminals and /dev/null are nothing.
bool stdin_is_piped() {
  struct stat info{};
  return ::fstat(STDIN_FILENO, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode));
}

// A pipe that somebody holds open without writing would be waited for in silence.
void tell_if_waiting() {
  constexpr int kPatienceMs = 2000;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (::poll(&input, 1, kPatienceMs) == 0)
    std::fprintf(stderr, "verge run: reading standard input, which becomes part of the prompt; '</dev/null' leaves it out\n");
}

// All of it; a text without the newline that a shell's echo adds.
Result<std::string> read_all(std::FILE* file, size_t limit) {
  std::string bytes;
  char buffer[1 << 16];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) {
    bytes.append(buffer, n);
    if (bytes.size() > limit) return fail(Code::TooLarge, "the input is over {} bytes", limit);
  }
  return bytes;
}

Result<std::string> read_stdin() {
  VERGE_ASSIGN(text, read_all(stdin, limits::kTextBodyBytes));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<std::string> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return fail(Code::Io, "cannot open {}", path);
  auto bytes = read_all(file, limits::kBodyBytes);
  std::fclose(file);
  return bytes;
}

Result<TaskQuestion> task_question(const Options& options) {
  TaskQuestion question;
  question.payload = options.payload;
  if (options.temperature) question.inputs["temperature"] = *options.temperature;
  json::array texts;
  for (const std::string& text : options.texts) {
    if (text != "-") {
      texts.emplace_back(text);
      continue;
    }
    VERGE_ASSIGN(read, read_stdin());
    texts.emplace_back(read);
  }
  if (texts.size() == 1) question.inputs["text"] = texts.front();
  else if (!texts.empty()) question.inputs["text"] = std::move(texts);
  return question;
}

// What a person wants to see of an answer: a transcript's text, labels with percentages, else the JSON.
std::string readable(const json::value& answer) {
  if (const json::object* object = answer.if_object()) {
    if (auto text = get_string(*object, "text")) return *text;
  }
  const json::array* list = answer.if_array();
  std::string lines;
  for (size_t i = 0; list && i < list->size(); ++i) {
    const json::object* item = (*list)[i].if_object();
    const auto label = item ? get_string(*item, "label") : std::nullopt;
    const auto score = item ? get_number(*item, "score") : std::nullopt;
    if (!label || !score) return json::serialize(answer);
    lines += fmt::format("{}{:5.1f} %  {}", i ? "\n" : "", *score * 100, *label);
    if (const json::object* box = get_object(*item, "box"))
      lines += fmt::format("  ({}, {})–({}, {})", json::serialize(box->at("xmin")), json::serialize(box->at("ymin")), json::serialize(box->at("xmax")), json::serialize(box->at("ymax")));
  }
  return list && !list->empty() ? lines : json::serialize(answer);
}

// A transcript as it is heard: text on stdout, and on a terminal a bar on stderr. Bar and text share the terminal's last line:
// the bar is wiped before text, and drawn on a line of its own.
class Listening {
 public:
  Listening() : bar_(isatty(STDERR_FILENO) != 0), shared_(bar_ && isatty(STDOUT_FILENO) != 0) {}

  void part(const json::object& part) {
    const std::string text = get_string(part, "text").value_or("");
    wipe();
    if (!text.empty()) show(shared_ ? text + "\n" : text);
    heard_ = heard_ || !text.empty();
    draw(get_number(part, "seconds").value_or(0), get_number(part, "duration").value_or(0));
  }
  void end() {
    wipe();
    if (!shared_ || !heard_) show("\n");
  }

 private:
  void wipe() {
    if (std::exchange(drawn_, false)) std::fprintf(stderr, "\r\033[K");
  }
  void draw(double seconds, double duration) {
    if (!bar_ || duration <= 0 || seconds >= duration) return;
    constexpr int kWidth = 30;
    const int filled = static_cast<int>(seconds / duration * kWidth);
    const auto clock = [](double s) { return fmt::format("{}:{:02}", static_cast<int>(s) / 60, static_cast<int>(s) % 60); };
    const std::string line = fmt::format("\r[{}{}] {} of {}", std::string(static_cast<size_t>(filled), '#'), std::string(static_cast<size_t>(kWidth - filled), '.'), clock(seconds), clock(duration));
    std::fprintf(stderr, "%s", line.c_str());
    drawn_ = true;
  }

  const bool bar_, shared_;
  bool drawn_ = false, heard_ = false;
};

int transcribe(const Options& options, const LocalTask& local, TaskQuestion question) {
  Listening listening;
  const auto on_part = [&](const json::object& part) { listening.part(part); };
  auto answer = options.server.empty() ? run_task_here(local, std::move(question), on_part)
                                       : run_task_there(options.server, options.model, token_of_environment(), std::move(question), on_part);
  listening.end();
  return answer ? 0 : complain(answer.error().message);
}

// A sound file goes to a file or a pipe as it is.
int put_sound(std::string_view base64) {
  if (isatty(STDOUT_FILENO)) return complain("the answer is a sound file: write it to one, as in 'verge run MODEL TEXT > out.wav', or use --json");
  const auto bytes = base64_decode(base64);
  if (!bytes) return complain("the answer's sound is no base64");
  const bool written = std::fwrite(bytes->data(), 1, bytes->size(), stdout) == bytes->size() && std::fflush(stdout) == 0;
  return written ? 0 : complain("the sound could not be written");
}

// As the model's schema names its text; a WAV file, which every player takes.
void ask_for_sound(const LocalTask& local, json::object& inputs) {
  const json::object* properties = get_object(local.schema, "properties");
  if (properties && properties->contains("prompt") && inputs.contains("text")) {
    json::value text = inputs["text"];
    inputs.erase("text");
    inputs["prompt"] = std::move(text);
  }
  inputs["encoding"] = "linear16";
  inputs["container"] = "wav";
}

int run_task(const Options& options, const LocalTask& local) {
  auto question = task_question(options);
  if (!question) return complain(question.error().message);
  if (local.entry.task == "text-to-speech") ask_for_sound(local, question->inputs);
  const bool hears = !options.audio.empty() && (!options.server.empty() || local.entry.task == "automatic-speech-recognition");
  if (hears && !options.json) return transcribe(options, local, std::move(*question));
  auto answer = options.server.empty() ? run_task_here(local, std::move(*question))
                                       : run_task_there(options.server, options.model, token_of_environment(), std::move(*question));
  if (!answer) return complain(answer.error().message);
  const json::object* object = options.json ? nullptr : answer->if_object();
  if (object && object->size() == 1)
    if (const auto sound = get_string(*object, "audio")) return put_sound(*sound);
  std::printf("%s\n", (options.json ? json::serialize(*answer) : readable(*answer)).c_str());
  return 0;
}

// What the command line asks for and this model, or this way of asking, cannot do. Empty: nothing.
std::string contradiction(const Options& options, const LocalTask& local, bool generates, bool interactive) {
  const bool inputs = !options.texts.empty() || !options.image.empty() || !options.audio.empty();
  if (!options.server.empty() && options.threads != 0) return "--threads is for a model in this process, not for --server";
  if (!options.image.empty() && !options.audio.empty()) return "give --image or --audio, not both";
  if (generates) {
    if (inputs) return fmt::format("{} generates text: give it a prompt, no --text, --image or --audio", options.model);
    if (options.raw && !options.system.empty()) return "--raw takes the prompt as it is; --system cannot be added to it";
    if (options.raw && !options.tool_files.empty()) return "--raw takes the prompt as it is; --tool cannot be added to it";
    if (interactive && !options.tool_files.empty()) return "--tool needs a prompt: a chat calls nothing";
    if (options.raw && interactive) return "--raw needs a prompt: a chat uses the model's template";
    return {};
  }
  const std::string task = local.entry.task.empty() ? "other tasks" : local.entry.task;
  const std::pair<const char*, bool> unused[] = {{"--system", !options.system.empty()}, {"--max-tokens", options.max_tokens.has_value()},
                                                 {"--seed", options.seed.has_value()}, {"--raw", options.raw}, {"--tool", !options.tool_files.empty()}, {"--schema", options.schema.has_value()},
                                                 {"--temperature", options.temperature && options.audio.empty()}};
  for (const auto& [flag, given] : unused)
    if (given) return fmt::format("{} is for text generation; {} is a model for {}", flag, options.model, task);
  const bool media = !options.image.empty() || !options.audio.empty();
  if (media && !options.texts.empty()) return "a picture or a clip is asked about without --text";
  if (options.has_prompt && inputs) return "the prompt and --text, --image or --audio cannot be answered together: give one of them";
  if (!inputs && !options.has_prompt) return fmt::format("{} is a model for {}: give it --text, --image or --audio", options.model, task);
  return {};
}

Result<json::value> read_json(const std::string& file) {
  VERGE_ASSIGN(text, read_file(file));
  auto parsed = parse_json(text);
  if (!parsed) return fail(Code::InvalidInput, "{}: {}", file, parsed.error().message);
  return parsed;
}

Result<json::array> read_tools(const std::string& file) {
  VERGE_ASSIGN(parsed, read_json(file));
  if (parsed.is_array()) return parsed.get_array();
  return json::array{std::move(parsed)};
}

// Standard input beside a prompt: first what is spoken of, then what is asked.
Result<std::string> whole_prompt(const Options& options) {
  if (options.has_prompt && !options.piped) return options.prompt;
  if (options.has_prompt) tell_if_waiting();
  VERGE_ASSIGN(piped, read_stdin());
  if (!options.has_prompt || piped.empty()) return options.has_prompt ? options.prompt : piped;
  return piped + "\n\n" + options.prompt;
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app("Ask a model once, or chat with it", argv[0]);
  Options options;
  app.add_option("model", options.model, "A model's id (see 'verge models'), a GGUF file or a model folder")->required();
  auto* prompt = app.add_option("prompt", options.prompt, "What to ask; what is piped in comes before it. Without it: a chat on a terminal, else stdin is the prompt");
  app.add_option("--system", options.system, "System message");
  app.add_option("--temperature", options.temperature, "0 = always the likeliest token (default 0.6)")->check(CLI::Range(0.0, 5.0));
  app.add_option("--max-tokens", options.max_tokens, "Longest answer, in tokens (default: what the context window allows; of a --server, its own)")->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "Makes the answer repeatable");
  app.add_option("--threads", options.threads, "Threads that compute (default: all cores)")->check(CLI::NonNegativeNumber);
  app.add_option("--text", options.texts, "A text, for models that take some (embeddings, classification); - = stdin (repeatable)");
  app.add_option("--image", options.image, "A picture, for models that see; - = stdin");
  app.add_option("--audio", options.audio, "A clip, for models that hear; - = stdin");
  app.add_option("--server", options.server, "Ask a running server instead, e.g. http://127.0.0.1:8780 (token from $VERGE_TOKEN)");
  app.add_option("--tool", options.tool_files, "A file with a function that the model may call, or with a list of them, as JSON (repeatable); calls are printed as JSON")->allow_extra_args(false);
  app.add_option("--schema", options.schema_file, "A file with a JSON Schema: the answer is JSON that meets it");
  app.add_flag("--raw", options.raw, "Give the prompt to the model as it is, without its chat template");
  app.add_flag("--json", options.json, "Print one JSON object when the answer is complete");
  app.add_flag("--verbose", options.verbose, "Print token counts and speed to stderr");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  log::configure(options.verbose ? log::Level::Info : log::Level::Warn, log::Format::Text, "run");
  // Before the sandbox; a wrong combination of options is named first all the same.
  std::optional<Error> unread;
  if (const std::string& file = options.image.empty() ? options.audio : options.image; !file.empty()) {
    auto bytes = file == "-" ? read_all(stdin, limits::kBodyBytes) : read_file(file);
    if (bytes) options.payload = std::move(*bytes);
    else unread = bytes.error();
  }
  for (const std::string& file : options.tool_files) {
    auto tools = read_tools(file);
    if (!tools) return complain(tools.error().message);
    for (json::value& tool : *tools) options.tools.push_back(std::move(tool));
  }
  if (!options.schema_file.empty()) {
    auto schema = read_json(options.schema_file);
    if (!schema) return complain(schema.error().message);
    options.schema = std::move(*schema);
  }
  options.piped = stdin_is_piped();
  LocalTask local;
  if (options.server.empty()) {
    auto located = locate(options);
    if (!located) return complain(located.error().message);
    local = std::move(*located);
  }
  options.has_prompt = prompt->count() > 0;
  const bool inputs = !options.texts.empty() || !options.image.empty() || !options.audio.empty();
  const bool generates = options.server.empty() ? local.entry.task == "text-generation" : !inputs;
  const bool interactive = generates && !options.has_prompt && isatty(STDIN_FILENO) && !options.json;
  if (const std::string wrong = contradiction(options, local, generates, interactive); !wrong.empty()) return complain(wrong, 2);
  if (unread) return complain(unread->message);
  if (!generates) {
    if (!inputs) options.texts = {options.prompt};
    return run_task(options, local);
  }
  std::string text;
  if (!interactive) {
    auto read = whole_prompt(options);
    if (!read) return complain(read.error().message);
    text = std::move(*read);
  }
  auto asker = make_asker(options, local);
  if (!asker) return complain(asker.error().message);
  return interactive ? chat(**asker, options) : answer_once(**asker, options, text);
}

}  // namespace verge::commands
