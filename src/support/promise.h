// Asserts of pure steps, in release builds too: what holds at a step's beginning and end, cheap enough for each of them.
// One that is broken names itself in the log, and the process goes on: the answer may still be right, and others' surely are.
#pragma once

namespace verge {

// Always false, so that a step may look: if (!VERGE_EXPECT(…)) return;
bool promise_broken(const char* promise, const char* condition, const char* file, int line);

}  // namespace verge

#define VERGE_EXPECT(condition, promise) (__builtin_expect(!!(condition), 1) || ::verge::promise_broken(promise, #condition, __FILE__, __LINE__))
