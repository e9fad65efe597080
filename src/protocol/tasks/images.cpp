#include "protocol/tasks/images.h"

#include "protocol/tasks/fields.h"

namespace verge::protocol {
namespace {

template <class T>
verge::Result<T> read(const Result& result) {
  const json::object* object = result.value.if_object();
  if (!object) return fail(Code::Internal, "the model's answer says nothing of the picture");
  return read_fields<T>(*object);
}

}  // namespace

Result to_result(const ImageClasses& classes) { return Result(write_fields(classes)); }
verge::Result<ImageClasses> image_classes(const Result& result) { return read<ImageClasses>(result); }
Result to_result(const FoundObjects& objects) { return Result(write_fields(objects)); }
verge::Result<FoundObjects> found_objects(const Result& result) { return read<FoundObjects>(result); }

}  // namespace verge::protocol
