#include "protocol/tasks/text_classification.h"

#include "protocol/tasks/fields.h"

namespace verge::protocol {

json::object to_json(const ClassificationParameters& parameters) { return write_fields(parameters); }

verge::Result<ClassificationParameters> classification_parameters(const json::object& params) {
  VERGE_ASSIGN(out, read_fields<ClassificationParameters>(params));
  if (out.texts.empty()) return fail_at(Code::InvalidInput, "/texts", "'/texts' must hold at least one text");
  return out;
}

Result to_result(const Classification& classification) { return Result(write_fields(classification)); }

verge::Result<Classification> classification(const Result& result) {
  const json::object* object = result.value.if_object();
  if (!object) return fail(Code::Internal, "the model's answer has no classes");
  VERGE_ASSIGN(out, read_fields<Classification>(*object));
  for (const std::vector<double>& row : out.scores)
    if (row.size() != out.labels.size()) return fail(Code::Internal, "the model's answer has {} scores of {} labels", row.size(), out.labels.size());
  return out;
}

}  // namespace verge::protocol
