// The tests of `verge bench` for a text encoder: one line each,
//   load     open, check, pack
//   encode   `sequences` texts of `tokens` tokens in one call, pooled
#pragma once

#include <string>

#include "engine/backend.h"

namespace verge::commands {

struct EncoderBench {
  std::string path;
  bool json = false;
  int threads = 0, repeat = 3;
  engine::Precision precision = engine::Precision::Native;
};
int bench_encoder(const EncoderBench& options);  // an exit code

}  // namespace verge::commands
