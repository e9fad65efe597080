#include "protocol/tasks/automatic_speech_recognition.h"

#include "protocol/tasks/fields.h"
#include "support/limits.h"

namespace verge::protocol {

json::object to_json(const SpeechParameters& parameters) { return write_fields(parameters); }

verge::Result<SpeechParameters> speech_parameters(const json::object& params) {
  VERGE_ASSIGN(out, read_fields<SpeechParameters>(params));
  if (out.task && *out.task != "transcribe" && *out.task != "translate")
    return fail_at(Code::InvalidInput, "/task", "'/task' must be 'transcribe' or 'translate'");
  if (out.beam_size && (*out.beam_size < 1 || *out.beam_size > limits::kSpeechHypotheses))
    return fail_at(Code::InvalidInput, "/beam_size", "'/beam_size' must be 1 to {}", limits::kSpeechHypotheses);
  if (out.temperature && !(*out.temperature >= 0 && *out.temperature <= 1))
    return fail_at(Code::InvalidInput, "/temperature", "'/temperature' must be a number from 0 to 1");
  for (const auto& [at, text] : {std::pair{"/initial_prompt", &out.initial_prompt}, {"/prefix", &out.prefix}})
    if (*text && (*text)->size() > limits::kSpeechPromptBytes)
      return fail_at(Code::InvalidInput, at, "'{}' has {} bytes, limit {}", at, (*text)->size(), limits::kSpeechPromptBytes);
  return out;
}

Result to_result(const Transcript& transcript) { return Result(write_fields(transcript)); }

verge::Result<Transcript> transcript(const Result& result) {
  const json::object* object = result.value.if_object();
  if (!object) return fail(Code::Internal, "the model's answer has no transcript");
  return read_fields<Transcript>(*object);
}

Part to_part(const TranscriptPart& part) { return Part(write_fields(part)); }

verge::Result<TranscriptPart> transcript_part(const Part& part) {
  const json::object* object = part.value.if_object();
  if (!object) return fail(Code::Internal, "a part of the model's answer is no transcript");
  return read_fields<TranscriptPart>(*object);
}

}  // namespace verge::protocol
