// Python's two ways to format text: "…%s…" % args and "…{}…".format(args).
#pragma once

#include "engine/templates/jinja_runtime.h"

namespace verge::engine::jinja {

// `format` is a String. A format marked as safe escapes what is put in.
Result<Value> percent_format(Runtime& rt, const Value& format, const Value& arguments);
Result<Value> brace_format(Runtime& rt, const Value& format, const Args& args);

}  // namespace verge::engine::jinja
