#include "worker/speaking_call.h"

#include <algorithm>

#include "support/clock.h"
#include "support/utf8.h"
#include "support/voice_limits.h"

namespace verge::worker {
namespace {

// Text that is no UTF-8 is mended, control characters are spaces, and a run without a space is cut:
// what follows is no word that anybody writes.
std::string readable(std::string_view text) {
  const std::string whole = lossy_utf8(text);
  std::string out;
  size_t run = 0;
  for (const char c : whole) {
    const bool continues = (static_cast<unsigned char>(c) & 0xc0) == 0x80;
    const bool space = static_cast<unsigned char>(c) <= ' ' && c != '\n';
    if (run >= limits::kSpokenWordBytes && !continues) {
      out += ' ';
      run = 0;
    }
    out += space ? ' ' : c;
    run = space || c == '\n' ? 0 : run + 1;
  }
  return out;
}

}  // namespace

bool SpeakingCall::pointless() const {
  // The deadline is for the answer to begin: a file that is on its way goes on.
  return abandoned || (!begun_ && request.deadline_ms != 0 && unix_ms() > request.deadline_ms);
}

Result<> SpeakingCall::begin(engine::Synthesizer& voice) {
  VERGE_ASSIGN(parameters, protocol::speaking_parameters(request.params));
  parameters_ = std::move(parameters);
  if (parameters_.language && !voice.language().starts_with(*parameters_.language)) {
    return fail_at(Code::InvalidInput, "/lang", "'/lang' is {}, and this voice speaks {} only", *parameters_.language, voice.language());
  }
  VERGE_ASSIGN(encoder, media::AudioEncoder::open({parameters_.encoding, parameters_.wav, static_cast<int>(parameters_.sample_rate),
                                                   static_cast<int>(parameters_.bit_rate)}, voice.rate()));
  encoder_ = std::move(encoder);
  characters = std::ranges::count_if(parameters_.text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  sentences_ = voice.sentences(readable(parameters_.text));
  begun_ = true;
  return {};
}

Result<SpeakingCall::Step> SpeakingCall::step(engine::Synthesizer& voice) {
  const int64_t start = monotonic_us();
  if (!begun_) VERGE_TRY(begin(voice));
  if (phonemes_.empty() && next_ < sentences_.size()) {
    for (std::u32string& piece : voice.phonemes(sentences_[next_])) phonemes_.push_back(std::move(piece));
    ++next_;
  }
  Step step;
  if (!phonemes_.empty()) {
    const std::vector<float> samples = voice.speak(phonemes_.front(), static_cast<float>(parameters_.speed), request.seed + said_++);
    phonemes_.pop_front();
    spoken.duration += static_cast<double>(samples.size()) / voice.rate();
    VERGE_ASSIGN(bytes, encoder_->push(samples));
    step.bytes = std::move(bytes);
  }
  if (phonemes_.empty() && next_ == sentences_.size()) {
    if (said_ == 0) return fail(Code::InvalidInput, "the text has nothing that can be spoken: the voice reads English in Latin letters, digits and common symbols");
    VERGE_ASSIGN(rest, encoder_->finish());
    step.bytes += rest;
    step.done = true;
    spoken.sentences = static_cast<int64_t>(sentences_.size());
  }
  engine_us += monotonic_us() - start;
  return step;
}

}  // namespace verge::worker
