// Bounds of speech that is made from text.
#pragma once

#include <cstddef>

namespace verge::limits {

inline constexpr int kPhonemeIds = 512;        // of one sentence, pads included
inline constexpr int kVoiceFrames = 80 * 120;  // of one sentence, 12.5 ms each
inline constexpr size_t kSpokenTextBytes = 100'000;   // of one request: nearly two hours of speech
inline constexpr size_t kSpokenWordBytes = 400;       // between two spaces; the rest is a word of its own
inline constexpr int kSpeakers = 64;           // requests that are spoken at once
inline constexpr size_t kFrontEndBytes = 64 << 20;   // front_end.json
inline constexpr size_t kFrontEndMemory = 128 << 20;  // of its tables, measured: half of that
inline constexpr size_t kVoiceScratch = 400 << 20;    // activations of kVoiceFrames frames

}  // namespace verge::limits
