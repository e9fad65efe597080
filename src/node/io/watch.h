// Tells that something changed in folders and files, as the kernel does (inotify). Nothing is told of file systems that others write to
// over a network, nor of what is not there yet: for those its owner looks now and then.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>

namespace verge::node {

class Watch {
 public:
  // changed() is called on the executor, once for any number of changes. Null where the kernel has no more of these.
  static std::unique_ptr<Watch> make(boost::asio::any_io_executor executor, std::function<void()> changed);
  virtual ~Watch() = default;
  // From now on this folder (what is in it: names, and files that were written) or file. Asks the file system; from any thread.
  // False: it is not there. Again for the same one costs nothing more.
  virtual bool add(const std::string& path) = 0;
};

}  // namespace verge::node
