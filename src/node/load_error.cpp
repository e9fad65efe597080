#include "node/load_error.h"

#include "support/shortage.h"

namespace verge::node {

Error load_error(const Error& error, const std::string& model) {
  if (is_shortage(error))
    return shortage(fmt::format("model {} cannot be loaded at the moment: the machine is short of memory, descriptors or processes. Try again later", model));
  switch (error.code) {
    case Code::Busy: {
      Error told = fail(Code::Busy, "the files of model {} were changed while they were read. Try again", model);
      told.retry_after_ms = 1000;
      return told;
    }
    case Code::Io:
      return fail(Code::ModelUnavailable, "files of model {} are missing or cannot be read on this machine: put them back, or run 'verge pull {}'. The server's log names them",
                  model, model);
    case Code::LoadFailed:
      return fail(Code::LoadFailed, "model {} cannot be loaded: its files are damaged, not complete or of a kind that is not supported. The server's log says why", model);
    default: return fail(Code::Internal, "model {} cannot be loaded", model);
  }
}

}  // namespace verge::node
