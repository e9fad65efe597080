// Limits of what waits: who is served next, how long a step and a queue may take, and when a request is refused at once.
// They stand apart from limits.h because that header is included by every file.
#pragma once

#include <cstddef>

namespace verge::limits {

// Before the check.
inline constexpr size_t kPngTailBytes = 16 << 10;      // of the file, read after the last row; they unpack to 16 MiB at most
inline constexpr size_t kMessages = 1 << 14;           // of one chat; each takes some tokens of the context
inline constexpr size_t kDocuments = 100;              // of one toMarkdown request
inline constexpr size_t kDocumentsText = 64 << 20;     // bytes of Markdown in one answer

// Prompts that wait to be read.
inline constexpr int kPrepareThreads = 2;              // one of them is kept for prompts that are not long
inline constexpr size_t kLongPromptBytes = 64 << 10;   // takes longer to read than a step takes

// A caller who waits longer than an answer takes has mostly left when it comes.
inline constexpr int kQueueWaitMs = 4'000;             // expected; or as long as answers take, where that is more
inline constexpr int kRetrySoonMs = 1'000;             // who is told to come back later than this is not kept by the router
inline constexpr int kRefusedMs = 50;                  // who was refused for its wait is refused so long without asking again

// The batch's steps.
inline constexpr int kPrefillStepTargetMs = 40;        // a step that reads prompts beside answers ends by then ...
inline constexpr double kPrefillStepTimes = 2;         // ... or takes so many times what the answers' rows take alone
inline constexpr double kShareStepTimes = 1.6;         // with two tenants, a step takes at most so many times the shortest
inline constexpr int kShareLingerMs = 250;             // a tenant's share is kept so long after its last answer

}  // namespace verge::limits
