// Which thread serves sockets. What blocks, as a call of the file system does, must not run on it: all streams would wait.
#pragma once

namespace verge {

// True in what run_loop() (support/spawn.h) runs. For the asserts of what blocks.
bool on_io_thread();

}  // namespace verge
