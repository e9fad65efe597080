// A small HTTP server for the tests of downloads: files with ETags and ranges, and on demand what real
// servers do wrong. Listens on loopback, a thread a connection, one request each.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace verge::node {

struct HttpRequest {
  std::string path;                            // with the query
  std::map<std::string, std::string> headers;  // names in lower case
};

class HubServer {
 public:
  HubServer() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 64) != 0) std::abort();
    socklen_t n = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &n);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { accept_all(); });
  }
  ~HubServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    for (std::thread& t : connections_) t.join();
    ::close(listener_);
  }

  std::string base() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // What to do. To be changed with edit() held, once there may have been requests.
  std::unique_lock<std::mutex> edit() { return std::unique_lock<std::mutex>(mutex_); }
  std::map<std::string, std::string> files;          // path -> content
  std::map<std::string, std::string> etags;          // path -> ETag, quotes included; none = none sent
  std::map<std::string, std::string> redirects;      // path -> Location
  std::map<std::string, std::vector<int>> statuses;  // path -> statuses of the first requests
  std::map<std::string, std::vector<size_t>> cuts;   // path -> the first answers end after so many bytes of body
  std::string token;                                 // needed, where not empty
  bool ranges = true;
  std::function<void(const HttpRequest&)> on_request = [](const HttpRequest&) {};  // may change the above

  std::vector<HttpRequest> requests() {
    std::lock_guard<std::mutex> lock(mutex_);
    return requests_;
  }
  size_t count(const std::string& path) {
    size_t n = 0;
    for (const HttpRequest& r : requests()) n += r.path.substr(0, r.path.find('?')) == path;
    return n;
  }
  size_t body_bytes() const { return body_bytes_; }

 private:
  void accept_all() {
    for (;;) {
      int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      connections_.emplace_back([this, fd] {
        serve(fd);
        ::close(fd);
      });
    }
  }

  void send_all(int fd, const std::string& s) {
    for (size_t at = 0; at < s.size();) {
      ssize_t n = ::send(fd, s.data() + at, s.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<size_t>(n);
    }
  }

  static std::string answer(int status, const std::string& headers, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) + " X\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
  }

  template <class T>
  bool take(std::map<std::string, std::vector<T>>& of, const std::string& path, T& out) {
    auto it = of.find(path);
    if (it == of.end() || it->second.empty()) return false;
    out = it->second.front();
    it->second.erase(it->second.begin());
    return true;
  }

  void serve(int fd) {
    std::string text;
    for (char buffer[4096]; text.find("\r\n\r\n") == std::string::npos;) {
      ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      text.append(buffer, static_cast<size_t>(n));
    }
    HttpRequest r;
    r.path = text.substr(4, text.find(' ', 4) - 4);
    for (size_t at = text.find("\r\n") + 2; text.compare(at, 2, "\r\n") != 0;) {
      size_t colon = text.find(':', at), end = text.find("\r\n", at);
      std::string name = text.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      r.headers[name] = text.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    send_all(fd, answer_to(r));
  }

  // What is sent; a connection that is cut sends less than its Content-Length says.
  std::string answer_to(HttpRequest& r) {
    std::lock_guard<std::mutex> lock(mutex_);
    on_request(r);
    requests_.push_back(r);
    std::string path = r.path.substr(0, r.path.find('?'));
    int status = 0;
    if (take(statuses, path, status)) return answer(status, "", "an error page");
    if (auto it = redirects.find(path); it != redirects.end()) return answer(302, "Location: " + it->second + "\r\n", "moved");
    if (!token.empty() && r.headers["authorization"] != "Bearer " + token) return answer(401, "", "no");
    auto file = files.find(path);
    if (file == files.end()) return answer(404, "", "not found");
    const std::string& content = file->second;
    std::string etag = etags.count(path) ? etags[path] : "";
    std::string headers = etag.empty() ? "" : "ETag: " + etag + "\r\n";
    size_t from = 0;
    bool partial = ranges && r.headers.count("range") && (!r.headers.count("if-range") || r.headers["if-range"] == etag);
    if (partial) {
      from = std::strtoul(r.headers["range"].c_str() + 6, nullptr, 10);
      if (from >= content.size()) return answer(416, "Content-Range: bytes */" + std::to_string(content.size()) + "\r\n", "");
      headers += "Content-Range: bytes " + std::to_string(from) + "-" + std::to_string(content.size() - 1) + "/" + std::to_string(content.size()) + "\r\n";
    }
    std::string body = content.substr(from);
    size_t cut = body.size();
    take(cuts, path, cut);
    std::string all = answer(partial ? 206 : 200, headers, body);
    cut = std::min(cut, body.size());
    body_bytes_ += cut;
    return all.substr(0, all.size() - body.size() + cut);
  }

  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
  std::vector<std::thread> connections_;  // touched by the accepting thread only, until it has ended
  std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::atomic<size_t> body_bytes_{0};
};

}  // namespace verge::node
