// verge: the table of subcommands.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "commands/account.h"
#include "commands/backup.h"
#include "commands/bench.h"
#include "commands/cluster.h"
#include "commands/convert.h"
#include "commands/dev.h"
#include "commands/doctor.h"
#include "commands/grammar.h"
#include "commands/host.h"
#include "commands/inspect.h"
#include "commands/models.h"
#include "commands/nodes.h"
#include "commands/place.h"
#include "commands/ps.h"
#include "commands/pull.h"
#include "commands/rm.h"
#include "commands/run.h"
#include "commands/serve.h"
#include "commands/token.h"
#include "commands/tokenize.h"
#include "commands/usage.h"
#include "commands/worker.h"
#include "commands/wrangler.h"
#include "support/version.h"

namespace {

struct Command {
  const char* name;
  int (*run)(int argc, char** argv);
  const char* help;  // null = not listed
};
constexpr Command kCommands[] = {
    {"serve", verge::commands::serve, "Start the server: the Workers AI and OpenAI APIs on this machine"},
    {"run", verge::commands::run, "Ask a model once, or chat with it"},
    {"dev", verge::commands::dev, "Run a Cloudflare Workers project with env.AI answered by Verge"},
    {"wrangler", verge::commands::wrangler, "Work on the D1, KV and R2 data of a Worker"},
    {"pull", verge::commands::pull, "Download a model"},
    {"rm", verge::commands::rm, "Remove a downloaded model"},
    {"models", verge::commands::models, "List the models of the catalogue and those on this machine"},
    {"ps", verge::commands::ps, "List the models that a server has loaded"},
    {"nodes", verge::commands::nodes, "List the nodes of a cluster"},
    {"place", verge::commands::place, "Say where a cluster's models should be loaded"},
    {"cluster", verge::commands::cluster, "Make a cluster's certificates and keys"},
    {"token", verge::commands::token, "Create, list and revoke API tokens"},
    {"account", verge::commands::account, "Set what accounts may use"},
    {"backup", verge::commands::backup, "Copy a server's data folder, also while it runs"},
    {"usage", verge::commands::usage, "Show what accounts have used"},
    {"tokenize", verge::commands::tokenize, "Print the token ids of a text"},
    {"grammar", verge::commands::grammar, "Tell which texts a JSON schema admits, with a model's tokenizer"},
    {"bench", verge::commands::bench, "Measure a model on this machine"},
    {"convert", verge::commands::convert, nullptr},
    {"host", verge::commands::host, nullptr},
    {"doctor", verge::commands::doctor, "Check this machine: what Verge will use of it, and what to mend"},
    {"inspect", verge::commands::inspect, "Tell what a model is for and what it takes, from its headers"},
    {"worker", verge::commands::worker, nullptr},
};

void print_help(std::FILE* out) {
  std::fprintf(out, "Verge: the open, self-hosted Workers AI.\n\nUsage: verge COMMAND [OPTIONS]\n\nCommands:\n");
  for (const Command& command : kCommands)
    if (command.help) std::fprintf(out, "  %-10s %s\n", command.name, command.help);
  std::fprintf(out, "\n'verge COMMAND --help' shows a command's options. 'verge --version' prints the version.\n");
}

// For who has just installed it.
void print_first_steps() {
  std::fputs(
      "Verge: the open, self-hosted Workers AI. What to do first:\n\n"
      "  verge run @verge/stories-260k \"Once upon a time\"   a tiny model that is part of Verge: it tells stories\n"
      "  verge pull @verge/smollm2-135m-instruct            fetch a small model that answers (98 MB)\n"
      "  verge run @verge/smollm2-135m-instruct             chat with it\n"
      "  verge serve --stand-ins                            the APIs and a page on http://127.0.0.1:8780\n"
      "  verge dev PROJECT                                  a Cloudflare Worker with its env.AI on this machine\n\n"
      "'verge models' lists the models there are, 'verge --help' the commands.\n",
      stderr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    print_first_steps();
    return 2;
  }
  const char* name = argv[1];
  if (!std::strcmp(name, "--help") || !std::strcmp(name, "-h") || !std::strcmp(name, "help")) {
    print_help(stdout);
    return 0;
  }
  if (!std::strcmp(name, "--version") || !std::strcmp(name, "version")) {
    std::printf("verge %s\n", verge::version());
    return 0;
  }
  for (const Command& command : kCommands) {
    if (std::strcmp(name, command.name)) continue;
    // The command sees "verge NAME" as its own name, so that its usage line reads as it is typed.
    std::string title = std::string("verge ") + name;
    std::vector<char*> args{title.data()};
    for (int i = 2; i < argc; ++i) args.push_back(argv[i]);
    args.push_back(nullptr);
    return command.run(static_cast<int>(args.size()) - 1, args.data());
  }
  std::fprintf(stderr, "verge: unknown command '%s'. 'verge --help' lists the commands.\n", name);
  return 2;
}
