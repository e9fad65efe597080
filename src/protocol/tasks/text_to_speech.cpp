#include "protocol/tasks/text_to_speech.h"

#include "protocol/tasks/fields.h"
#include "support/voice_limits.h"

namespace verge::protocol {

json::object to_json(const SpeakingParameters& parameters) { return write_fields(parameters); }

verge::Result<SpeakingParameters> speaking_parameters(const json::object& params) {
  VERGE_ASSIGN(out, read_fields<SpeakingParameters>(params));
  if (out.text.empty()) return fail(Code::InvalidInput, "there is no text to be spoken");
  if (out.text.size() > limits::kSpokenTextBytes) {
    return fail(Code::TooLarge, "the text has {} bytes, limit {}: send it in parts", out.text.size(), limits::kSpokenTextBytes);
  }
  if (!(out.speed >= 0.25 && out.speed <= 4)) return fail(Code::InvalidInput, "the speed must be 0.25 to 4");
  return out;
}

Result to_result(const Spoken& spoken) { return Result(write_fields(spoken)); }

verge::Result<Spoken> spoken(const Result& result) {
  const json::object* object = result.value.if_object();
  if (!object) return fail(Code::Internal, "the model's answer says nothing of its sound");
  return read_fields<Spoken>(*object);
}

}  // namespace verge::protocol
