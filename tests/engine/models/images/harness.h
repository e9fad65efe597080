// What tests of image models share: expected numbers and prepared pixels out of files.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/image_model.h"
#include "support/json.h"

namespace verge::engine {

inline json::value read_json_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto value = parse_json(text);
  EXPECT_TRUE(value.ok()) << path;
  return value.ok() ? *value : json::value();
}

inline std::vector<double> numbers_of(const json::value& list) {
  std::vector<double> numbers;
  for (const json::value& item : list.as_array()) numbers.push_back(item.to_number<double>());
  return numbers;
}

struct Pixels {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;
  Picture picture() const { return {rgb.data(), width, height}; }
  Pixels mirrored() const {
    Pixels other = *this;
    std::reverse(other.rgb.begin(), other.rgb.end());
    return other;
  }
};

inline Pixels read_pixels(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string magic;
  int top = 0;
  Pixels pixels;
  in >> magic >> pixels.width >> pixels.height >> top;
  in.get();
  EXPECT_TRUE(in && magic == "P6" && top == 255) << path;
  pixels.rgb.resize(static_cast<size_t>(pixels.width) * static_cast<size_t>(pixels.height) * 3);
  in.read(reinterpret_cast<char*>(pixels.rgb.data()), static_cast<std::streamsize>(pixels.rgb.size()));
  EXPECT_TRUE(in) << path;
  return pixels;
}

}  // namespace verge::engine
