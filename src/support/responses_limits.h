// Bounds of the Responses API: what a request may hold, and what is kept of answers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace verge::limits {

inline constexpr int64_t kResponseDays = 30;              // as published; `--responses-days`
inline constexpr int64_t kResponsesKept = 10'000;         // of an account; `--responses-kept`
inline constexpr int64_t kResponsesBytes = 256 << 20;     // of an account
inline constexpr int64_t kAllResponsesBytes = 2LL << 30;  // of all accounts
inline constexpr size_t kResponseBytes = 32 << 20;        // of one, with all that it goes on from
inline constexpr size_t kResponseItems = 1 << 14;         // of one, with all that it goes on from
inline constexpr size_t kItemReferences = 256;            // of one request; each is looked up
inline constexpr size_t kItemIdBytes = 128;
inline constexpr size_t kLabels = 16, kLabelKeyLength = 64,
                        kLabelValueLength = 512;  // characters of its metadata, as published
inline constexpr int64_t kInputItemsPage = 20, kInputItemsMost = 100;  // as published

}  // namespace verge::limits
