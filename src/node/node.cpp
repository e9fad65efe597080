#include "node/node.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "node/local/local_node.h"

namespace verge::node {
namespace {

namespace asio = boost::asio;

uint64_t read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : 0;
}

uint64_t machine_memory() {
  const uint64_t physical = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
  const uint64_t cgroup = read_number("/sys/fs/cgroup/memory.max");  // "max" reads as 0
  return cgroup > 0 ? std::min(physical, cgroup) : physical;
}

}  // namespace

Result<std::shared_ptr<Node>> Node::make(asio::any_io_executor executor, const catalogue::Catalogue& catalogue, NodeOptions options) {
  if (options.memory_bytes == 0) options.memory_bytes = machine_memory() / 10 * 8;
  if (options.resolve.models_folder.empty()) options.resolve.models_folder = default_models_folder();
  if (options.program.empty()) {
    std::error_code ec;
    options.program = std::filesystem::read_symlink("/proc/self/exe", ec).string();
    if (ec) return fail(Code::Io, "cannot find this program: {}", ec.message());
  }
  VERGE_ASSIGN(sockets, SocketFolder::make());
  auto node = std::make_shared<LocalNode>(std::move(executor), catalogue, std::move(options), std::move(sockets));
  node->start();
  return std::shared_ptr<Node>(std::move(node));
}

}  // namespace verge::node
