// A folder that goes away with the test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace verge::engine::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "verge-formats-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ec;
    std::filesystem::remove_all(root_, ec);
  }

  std::string path(std::string_view name) const { return (root_ / name).string(); }
  std::string root() const { return root_.string(); }
  // A new file each time: the old one may still be mapped.
  std::string write(std::string_view name, std::string_view content) const {
    std::filesystem::remove(root_ / name);
    std::ofstream(root_ / name, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return path(name);
  }

 private:
  std::filesystem::path root_;
};

}  // namespace verge::engine::testing
