// What is known of models' files: their fingerprint, and what a process that read their headers told. Asked once for each
// fingerprint, and kept in a file, so that a start does not ask again. Thread-safe. Blocks: never on the io thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "node/resolve.h"
#include "support/error.h"
#include "support/model_facts.h"

namespace verge::node {

class Inspections {
 public:
  // Reads the headers at a path, in a process of its own. Errors: LoadFailed, Io, Timeout.
  using Ask = std::function<Result<ModelFacts>(const std::string& path)>;

  // `file`: where answers are kept; "" = nowhere. One that cannot be read, or is of another version of this program or of other
  // `settings` that answers depend on, counts as empty.
  Inspections(std::string file, std::string settings, Ask ask);

  struct Known {
    std::string fingerprint;
    ModelFacts facts;
  };
  // Of the files as look_at() found them. Errors: those of Ask, which are not kept; Io.
  Result<Known> of(const Installed& files);
  // What is known already; does not block.
  std::optional<ModelFacts> known(const Installed& files) const;

 private:
  void read();
  void write();

  const std::string file_, settings_;
  const Ask ask_;
  std::mutex asking_;  // one question at a time
  mutable std::mutex mutex_;
  struct Print {
    std::string stamp, fingerprint;
  };
  std::map<std::string, Print, std::less<>> prints_;       // by path
  std::map<std::string, ModelFacts, std::less<>> facts_;   // by fingerprint
};

}  // namespace verge::node
