// Text to speech: the published inputs of MeloTTS (prompt, lang) and of Deepgram's Aura (text, speaker,
// encoding …), and OpenAI's, -> protocol/tasks/text_to_speech.h. MeloTTS answers {"audio": base64 of an
// MP3}, Aura the bytes of the file, as they are made.
#pragma once

#include "api/tasks/params.h"
#include "api/tasks/task.h"
#include "protocol/tasks/text_to_speech.h"

namespace verge::api {

Result<TaskRequest> parse_speaking(TaskInput input, const catalogue::Entry& entry, const json::object& schema);
Result<json::value> speaking_answer(const Answer& answer, const json::object& context);

// What a client says of the file that it wants; all of it may be absent.
struct SoundWish {
  std::optional<std::string> encoding, container;  // as Aura has them
  std::optional<int64_t> sample_rate, bit_rate;
};
// Writes the format into `to` and returns its content type. Errors: InvalidInput naming what does not
// go together, and what does.
Result<std::string> choose_sound(const SoundWish& wish, protocol::SpeakingParameters* to);

}  // namespace verge::api
