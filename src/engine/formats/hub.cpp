#include "engine/formats/hub.h"
namespace verge::engine {
Result<std::shared_ptr<ModelFile>> open_hub(const std::string& folder) { return fail(Code::LoadFailed, "{}: the hub layout is not readable yet", folder); }
}
