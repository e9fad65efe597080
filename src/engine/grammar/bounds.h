// How large a grammar may get. All are counts, so that what is refused never depends on the machine's speed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace verge::engine::grammar::bounds {

constexpr size_t kSourceBytes = 1 << 20;     // of a schema, a list of choices or a pattern's document
constexpr size_t kPatternBytes = 64 << 10;   // of one regular expression
constexpr int kPatternDepth = 100;           // groups within groups
constexpr size_t kPatternNodes = 20'000;     // of one regular expression, counters not unrolled
constexpr size_t kSchemaDepth = 256;         // of the schema's own JSON
constexpr size_t kSchemaNodes = 1'000'000;   // JSON values in it
constexpr size_t kRules = 50'000;            // places in an answer that a schema tells apart
constexpr size_t kAlternatives = 1'000;      // of one place
constexpr size_t kHeads = 256;               // ways to read what is written that are followed beside each other
constexpr size_t kExpansion = 2'000'000;     // steps in which schemas are merged, the whole compile
constexpr size_t kLanguageNodes = 200'000;   // while compiling
constexpr size_t kSearch = 4'000;            // expressions looked at to tell if one is empty
constexpr size_t kSearches = 40'000;         // of all such searches while compiling
constexpr size_t kUnion = 20'000;            // parts of one union or intersection
constexpr int kDepth = 64;                   // arrays and objects within each other in an answer
constexpr size_t kGbnfNodes = 500'000;       // texts, classes, groups … of one GBNF grammar
constexpr size_t kGbnfRules = 2'000;         // of its rules that lead to themselves
constexpr size_t kGbnfParts = 20'000;        // of those rules together
constexpr size_t kGbnfEdges = 500'000;       // ways from one part to the next
constexpr int kCalls = 256;                  // rules within each other in an answer
constexpr int kIndent = 32;                  // spaces or tabs after a line break
constexpr int kDigits = 64;                  // before the point of a number, and after it
constexpr size_t kRemembered = 200;          // keys or items of one object or array that may not repeat
constexpr size_t kCacheBytes = 16 << 20;     // masks and steps that one grammar keeps for later
constexpr size_t kGrammarBytes = 24 << 20;   // places and sets: with more, a grammar takes no new answers

}  // namespace verge::engine::grammar::bounds
