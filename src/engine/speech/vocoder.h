// The frames of a voice to samples: a pulse train that follows the pitch, filtered; shaped noise; a
// free part; one inverse transform over frames of 1200 samples every 300 (Hann, 24 kHz).
#pragma once

#include <cstdint>
#include <vector>

#include "engine/models/hibari/hibari.h"

namespace verge::engine {

// {frames * kVoiceHop} samples. The noise is drawn from (seed, place): the same seed gives the same
// samples.
std::vector<float> vocode(const VoiceFrames& frames, uint64_t seed);

}  // namespace verge::engine
