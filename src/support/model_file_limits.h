// Limits of a model's files while they are opened and read, each with its reason. They stand apart from limits.h because
// that header is included by every file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace verge::limits {

inline constexpr uint64_t kModelFiles = 900;              // of a model's folder: each is a descriptor while the model loads
inline constexpr uint64_t kModelFolders = 64;             // folders in it that are looked into
// Memory while a model loads, in bytes for each byte of its files: packed weights, tables, and what is converted on the way.
inline constexpr uint64_t kLoadMemoryFactor = 4;
inline constexpr uint64_t kLoadMemoryFactorF32 = 10;      // weights of four bits made f32
inline constexpr uint64_t kThreadBytes = 16ull << 20;     // stack and heap of a thread of the backend
inline constexpr uint64_t kInspectMemoryBytes = 1ull << 30;  // of the process that tells a model's task from its headers
inline constexpr int kInspectSeconds = 60;
inline constexpr size_t kInspectOutputBytes = 64 << 10;

}  // namespace verge::limits
