// A request's raw bytes, in memory once: copies of a Payload share them, nobody changes them, and the
// last one frees them.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace verge::protocol {

class Payload {
 public:
  Payload() = default;
  Payload(std::string bytes)  // NOLINT(google-explicit-constructor)
      : owner_(bytes.empty() ? nullptr : std::make_shared<const std::string>(std::move(bytes))),
        view_(owner_ ? std::string_view(*owner_) : std::string_view()) {}
  // All of `frame` from `start` on. What is in front stays in memory with it.
  Payload(std::string frame, size_t start) : Payload(std::move(frame)) {
    view_.remove_prefix(std::min(start, view_.size()));
    if (view_.empty()) owner_.reset();
  }

  std::string_view view() const { return view_; }
  operator std::string_view() const { return view_; }  // NOLINT(google-explicit-constructor)
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  // Keeps the bytes where they are for as long as it lives.
  std::shared_ptr<const std::string> owner() const { return owner_; }

  friend bool operator==(const Payload& a, const Payload& b) { return a.view_ == b.view_; }
  friend bool operator==(const Payload& a, std::string_view b) { return a.view_ == b; }

 private:
  std::shared_ptr<const std::string> owner_;
  std::string_view view_;
};

}  // namespace verge::protocol
