// Carries packets between network namespaces with the delays, losses and cuts of a wide-area network, where the
// kernel has no netem:
//
//   wire CONTROL_SOCKET NAMESPACE=IPV4 [NAMESPACE=IPV4 …]
//
// Each namespace (a file in /run/netns) gets a TUN device `wire0`, whose packets are carried to the namespace that
// has the destination's address. Prints "ready" once the devices are there; ends when its standard input does, so that it never
// outlives who started it. The devices go with it.
//
// The unix socket CONTROL_SOCKET takes one command a line and answers each with a line, "ok", "error …" or JSON.
// A and B are namespaces, or * for every one:
//
//   link A B [delay=MS] [jitter=MS] [loss=SHARE]   one direction; what is not named becomes 0
//   cut A B      join A B                          one direction: nothing passes, and all does again
//   stats A B                                      {"sent":…,"delivered":…,"lost":…,"cut":…,"overflow":…}
//
// One thread, one epoll. A packet that is due within kEarlyUs goes along with the one before: far below what a
// round trip is measured with, and it keeps a busy wire from waking for each packet.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <queue>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "links.h"

namespace {

constexpr int64_t kEarlyUs = 100;
constexpr size_t kPacketBytes = 2048;        // more than the devices' MTU
constexpr size_t kPacketsUnderway = 1 << 16;  // 128 MiB; what comes beyond is dropped, as a full router does
constexpr size_t kLineBytes = 4096;           // of a control command
constexpr int kBurst = 64;                    // packets read from one device before the others have their turn

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "wire: %s%s%s\n", what.c_str(), errno ? ": " : "", errno ? std::strerror(errno) : "");
  std::exit(1);
}

int64_t now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000000} + t.tv_nsec / 1000;
}

struct Host {
  std::string name;
  uint32_t address = 0;  // network byte order
  int device = -1;
};

// A TUN device in a namespace. The descriptor stays with the namespace in which it was opened.
int open_device(const std::string& name) {
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC);
  if (home < 0 || there < 0) die("cannot open the namespace " + name);
  if (setns(there, CLONE_NEWNET) != 0) die("cannot enter the namespace " + name);
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) die("cannot open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strcpy(request.ifr_name, "wire0");
  if (ioctl(device, TUNSETIFF, &request) != 0) die("cannot make a TUN device in " + name);
  if (setns(home, CLONE_NEWNET) != 0) die("cannot come back from " + name);
  close(home);
  close(there);
  return device;
}

struct Packet {
  int64_t due_us = 0;
  uint64_t number = 0;  // of equal times the first goes first
  size_t from = 0, to = 0, bytes = 0;
  char data[kPacketBytes];
};
struct Later {
  bool operator()(const Packet* a, const Packet* b) const { return a->due_us != b->due_us ? a->due_us > b->due_us : a->number > b->number; }
};

class Wire {
 public:
  Wire(const char* control, std::vector<Host> hosts) : hosts_(std::move(hosts)), links_(hosts_.size(), 1), overflow_(hosts_.size() * hosts_.size()) {
    for (size_t i = 0; i < hosts_.size(); ++i) by_address_[hosts_[i].address] = i;
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    for (Host& host : hosts_) {
      host.device = open_device(host.name);
      watch(host.device);
      devices_[host.device] = static_cast<size_t>(&host - hosts_.data());
    }
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (std::strlen(control) >= sizeof address.sun_path) die("the control socket's path is too long");
    std::strcpy(address.sun_path, control);
    unlink(control);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 16) != 0) die(std::string("cannot listen on ") + control);
    watch(listener_);
    watch(timer_);
    watch(STDIN_FILENO);
  }

  void run() {
    for (;;) {
      epoll_event events[64];
      const int count = epoll_wait(epoll_, events, 64, -1);
      if (count < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (const auto device = devices_.find(fd); device != devices_.end()) take_packets(device->second);
        else if (fd == listener_) accept_control();
        else if (fd == timer_) clear_timer();
        else if (fd == STDIN_FILENO) {
          char ignored[256];
          if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0) return;
        } else read_control(fd);
      }
      deliver();
    }
  }

 private:
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  void take_packets(size_t from) {
    const int64_t now = now_us();
    for (int i = 0; i < kBurst; ++i) {
      if (!spare_) spare_ = fresh();
      const ssize_t bytes = read(hosts_[from].device, spare_->data, kPacketBytes);
      if (bytes <= 0) return;
      // IPv4 only: the kernel's IPv6 neighbour chatter goes nowhere.
      if (bytes < 20 || (spare_->data[0] & 0xf0) != 0x40) continue;
      uint32_t destination;
      std::memcpy(&destination, spare_->data + 16, 4);
      const auto to = by_address_.find(destination);
      if (to == by_address_.end()) continue;
      const auto due = links_.enter(from, to->second, now);
      if (!due) continue;
      if (underway_.size() >= kPacketsUnderway) {
        ++overflow_[from * hosts_.size() + to->second];
        continue;
      }
      Packet* packet = spare_.release();
      packet->due_us = *due;
      packet->number = ++number_;
      packet->from = from;
      packet->to = to->second;
      packet->bytes = static_cast<size_t>(bytes);
      underway_.push(packet);
    }
  }

  void deliver() {
    const int64_t limit = now_us() + kEarlyUs;
    while (!underway_.empty() && underway_.top()->due_us <= limit) {
      std::unique_ptr<Packet> packet(underway_.top());
      underway_.pop();
      // A full receiver is a loss, as on any wire.
      if (links_.leave(packet->from, packet->to)) (void)!write(hosts_[packet->to].device, packet->data, packet->bytes);
      free_.push_back(std::move(packet));
    }
    const int64_t next = underway_.empty() ? 0 : underway_.top()->due_us;
    if (next == armed_us_) return;
    armed_us_ = next;
    itimerspec at{};
    at.it_value.tv_sec = next / 1000000;
    at.it_value.tv_nsec = next % 1000000 * 1000;
    if (timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr) != 0) die("timerfd_settime");
  }
  void clear_timer() {
    uint64_t times;
    (void)!read(timer_, &times, sizeof times);
    armed_us_ = 0;
  }
  std::unique_ptr<Packet> fresh() {
    if (free_.empty()) return std::make_unique<Packet>();
    auto packet = std::move(free_.back());
    free_.pop_back();
    return packet;
  }

  void accept_control() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    watch(fd);
    lines_[fd];
  }
  void read_control(int fd) {
    std::string& line = lines_[fd];
    char buffer[kLineBytes];
    const ssize_t bytes = read(fd, buffer, sizeof buffer);
    if (bytes <= 0 || line.size() + static_cast<size_t>(bytes) > 16 * kLineBytes) {
      close(fd);
      lines_.erase(fd);
      return;
    }
    line.append(buffer, static_cast<size_t>(bytes));
    for (size_t end; (end = line.find('\n')) != std::string::npos; line.erase(0, end + 1)) {
      const std::string answer = command(line.substr(0, end)) + "\n";
      (void)!send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  std::vector<size_t> named(const std::string& name) const {
    std::vector<size_t> found;
    for (size_t i = 0; i < hosts_.size(); ++i)
      if (name == "*" || name == hosts_[i].name) found.push_back(i);
    return found;
  }

  std::string command(const std::string& line) {
    std::istringstream words(line);
    std::string verb, a, b;
    words >> verb >> a >> b;
    const auto from = named(a), to = named(b);
    if (from.empty() || to.empty()) return "error: no host " + (from.empty() ? a : b);
    wire::Shape shape;
    for (std::string word; words >> word;) {
      const size_t equals = word.find('=');
      const std::string key = word.substr(0, equals);
      char* end = nullptr;
      const double value = equals == std::string::npos ? -1 : std::strtod(word.c_str() + equals + 1, &end);
      if (verb != "link" || !end || *end || !(value >= 0) || value > 1e6) return "error: " + word;
      if (key == "delay") shape.delay_ms = value;
      else if (key == "jitter") shape.jitter_ms = value;
      else if (key == "loss" && value <= 1) shape.loss = value;
      else return "error: " + word;
    }
    if (verb == "stats") return stats(from, to);
    if (verb != "link" && verb != "cut" && verb != "join") return "error: no command " + verb;
    for (const size_t f : from)
      for (const size_t t : to) {
        if (f == t) continue;
        if (verb == "link") links_.shape(f, t, shape);
        else links_.cut(f, t, verb == "cut");
      }
    return "ok";
  }

  std::string stats(const std::vector<size_t>& from, const std::vector<size_t>& to) const {
    wire::Counts sum;
    uint64_t overflow = 0;
    for (const size_t f : from)
      for (const size_t t : to) {
        const wire::Counts& c = links_.counts(f, t);
        sum.sent += c.sent, sum.delivered += c.delivered, sum.lost += c.lost, sum.cut += c.cut;
        overflow += overflow_[f * hosts_.size() + t];
      }
    std::ostringstream text;
    text << "{\"sent\":" << sum.sent << ",\"delivered\":" << sum.delivered << ",\"lost\":" << sum.lost << ",\"cut\":" << sum.cut << ",\"overflow\":" << overflow << "}";
    return text.str();
  }

  std::vector<Host> hosts_;
  wire::Links links_;
  std::vector<uint64_t> overflow_;
  std::unordered_map<uint32_t, size_t> by_address_;
  std::unordered_map<int, size_t> devices_;
  std::map<int, std::string> lines_;  // of control connections, what has come of the next line
  std::priority_queue<Packet*, std::vector<Packet*>, Later> underway_;
  std::vector<std::unique_ptr<Packet>> free_;
  std::unique_ptr<Packet> spare_;
  uint64_t number_ = 0;
  int64_t armed_us_ = 0;
  int epoll_ = -1, timer_ = -1, listener_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: wire CONTROL_SOCKET NAMESPACE=IPV4 [NAMESPACE=IPV4 ...]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  std::vector<Host> hosts;
  for (int i = 2; i < argc; ++i) {
    const std::string text = argv[i];
    const size_t equals = text.find('=');
    Host host;
    host.name = text.substr(0, equals);
    errno = 0;
    if (equals == std::string::npos || inet_pton(AF_INET, text.c_str() + equals + 1, &host.address) != 1) die("NAMESPACE=IPV4, not " + text);
    hosts.push_back(std::move(host));
  }
  Wire wire(argv[1], std::move(hosts));
  std::puts("ready");
  std::fflush(stdout);
  wire.run();
}
