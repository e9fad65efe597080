// The tests of `verge bench` for an image model: one line each,
//   load     open, check, pack
//   encode   `sequences` prepared pictures in one call (a detector: one picture, 1066 x 800)
#pragma once

#include <string>

namespace verge::commands {

struct ImageBench {
  std::string path;
  bool json = false;
  int threads = 0, repeat = 3;
};
int bench_image(const ImageBench& options);  // an exit code

}  // namespace verge::commands
