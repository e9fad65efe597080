#include "worker/batch.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "support/overload_limits.h"
#include "support/random.h"

namespace verge::worker {
namespace {

constexpr int kP = limits::kPageTokens;

Batch::Sequence sequence(uint64_t id, int prompt, int answer = 8, const char* tenant = "t") {
  Batch::Sequence s;
  s.id = id;
  s.tenant = tenant;
  s.tokens.resize(static_cast<size_t>(prompt));
  std::iota(s.tokens.begin(), s.tokens.end(), static_cast<int32_t>(id * 100000));  // no shared prefixes
  s.most_tokens = prompt + answer;
  return s;
}

std::map<uint64_t, int> rows_by_id(const Plan& plan) {
  std::map<uint64_t, int> rows;
  for (const Row& row : plan.rows) rows[row.id] += static_cast<int>(row.tokens.size());
  return rows;
}

// Runs one step as the runner would, answering each wish for logits with token 7.
Plan step(Batch& batch, int64_t now = 0, int prefill_rows = limits::kBatchTokens) {
  Plan plan = batch.plan(now, {.prompts = prefill_rows});
  batch.commit(plan);
  for (const Row& row : plan.rows)
    if (row.logits) batch.append(row.id, 7);
  batch.check();
  return plan;
}

TEST(Batch, PromptsAreReadOneAfterTheOther) {
  Batch batch({.pages = 1000});
  for (uint64_t id = 1; id <= 16; ++id) ASSERT_TRUE(batch.submit(sequence(id, 128, 32), 0));
  // 512 rows: four whole prompts, their first tokens now; the others wait rather than all being half read.
  EXPECT_EQ(rows_by_id(step(batch)), (std::map<uint64_t, int>{{1, 128}, {2, 128}, {3, 128}, {4, 128}}));
  const auto second = rows_by_id(step(batch));
  EXPECT_EQ(second.at(1), 1);  // decodes beside the others' prompts
  EXPECT_EQ(second.at(5), 128);
  EXPECT_EQ(second.at(7), 128);
  EXPECT_EQ(second.at(8), 124);
  int steps = 2;
  for (bool last = false; !last; ++steps)
    for (const Row& row : step(batch).rows) last |= row.id == 16 && row.logits;
  EXPECT_EQ(steps, 5);  // 2048 prompt tokens and the decode rows beside them: no step is wasted
}

TEST(Batch, APromptLongerThanAStepIsReadInChunks) {
  Batch batch({.pages = 100});
  ASSERT_TRUE(batch.submit(sequence(1, 1200), 0));
  Plan plan = step(batch);
  EXPECT_EQ(plan.rows.at(0).tokens.size(), 512u);
  EXPECT_FALSE(plan.rows[0].logits);
  plan = step(batch);
  EXPECT_EQ(plan.rows.at(0).position, 512);
  plan = step(batch);
  EXPECT_EQ(plan.rows.at(0).tokens.size(), 176u);
  EXPECT_TRUE(plan.rows[0].logits);
}

TEST(Batch, AShortPromptDoesNotWaitForALongOne) {
  Batch batch({.pages = 1000});
  ASSERT_TRUE(batch.submit(sequence(1, 8000), 0));
  step(batch);
  ASSERT_TRUE(batch.submit(sequence(2, 20), 0));
  const auto rows = rows_by_id(step(batch));
  EXPECT_EQ(rows.at(2), 20);
  EXPECT_EQ(rows.at(1), 492);  // and no row is left unused
}

TEST(Batch, DecodersAreNotHeldUpByPrefillBeyondItsBudget) {
  Batch batch({.pages = 1000});
  ASSERT_TRUE(batch.submit(sequence(1, 10, 100), 0));
  step(batch);
  ASSERT_TRUE(batch.submit(sequence(2, 1000), 0));
  const auto rows = rows_by_id(step(batch, 0, 96));
  EXPECT_EQ(rows.at(1), 1);
  EXPECT_EQ(rows.at(2), 96);
}

// Promises: B1.
TEST(Batch, RowsAndSequencesStayBounded) {
  Batch batch({.pages = 4000});
  for (uint64_t id = 1; id <= 200; ++id) ASSERT_TRUE(batch.submit(sequence(id, 100, 50), 0));
  for (int i = 0; i < 60; ++i) {
    const Plan plan = step(batch);
    size_t rows = 0;
    for (const Row& row : plan.rows) rows += row.tokens.size();
    EXPECT_LE(rows, static_cast<size_t>(limits::kBatchTokens));
    EXPECT_LE(plan.rows.size(), static_cast<size_t>(limits::kSequences));
    for (const Row& row : plan.rows)
      if (batch.tokens(row.id).size() == 150) batch.remove(row.id);
  }
}

// Promises: B2.
TEST(Batch, APreemptedSequenceLosesPagesAndNoToken) {
  Batch batch({.pages = 4});
  ASSERT_TRUE(batch.submit(sequence(1, kP - 1, 3 * kP), 0));
  ASSERT_TRUE(batch.submit(sequence(2, kP - 1, 3 * kP), 0));
  std::map<uint64_t, int> computed;  // next position that must be computed
  int replays = 0;
  for (int i = 0; i < 1000 && !batch.empty(); ++i) {
    const Plan plan = batch.plan(0, {});
    ASSERT_FALSE(plan.rows.empty());
    for (const Row& row : plan.rows) {
      if (row.position < computed[row.id]) ++replays;
      else EXPECT_EQ(row.position, computed[row.id]);
      computed[row.id] = row.position + static_cast<int>(row.tokens.size());
    }
    batch.commit(plan);
    for (const Row& row : plan.rows) {
      if (!row.logits) continue;
      if (static_cast<int>(batch.tokens(row.id).size()) == 4 * kP - 1) batch.remove(row.id);
      else batch.append(row.id, static_cast<int32_t>(batch.tokens(row.id).size()));
    }
    batch.check();
  }
  EXPECT_TRUE(batch.empty());
  EXPECT_GT(replays, 0);
  EXPECT_EQ(batch.preemptions(), static_cast<uint64_t>(replays));
  EXPECT_EQ(batch.pages().held(), 0);
}

// Promises: B3.
TEST(Batch, TheOldestIsNeverPreempted) {
  Batch batch({.pages = 6});
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(batch.submit(sequence(id, kP, 4 * kP), 0));
  int expected = 0;
  while (batch.contains(1)) {
    const Plan plan = batch.plan(0, {});
    const auto rows = rows_by_id(plan);
    ASSERT_TRUE(rows.contains(1)) << "after " << expected << " tokens";
    for (const Row& row : plan.rows)
      if (row.id == 1) {
        EXPECT_EQ(row.position, expected);
      }
    expected += rows.at(1);
    batch.commit(plan);
    for (const Row& row : plan.rows) {
      if (!row.logits) continue;
      if (static_cast<int>(batch.tokens(row.id).size()) + 1 >= 5 * kP) batch.remove(row.id);
      else batch.append(row.id, 1);
    }
  }
}

TEST(Batch, WhatCannotRunAloneIsRefused) {
  Batch batch({.pages = 2});
  const auto result = batch.submit(sequence(1, kP, 2 * kP), 0);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::ContextOverflow);
  EXPECT_EQ(result.error().limit, 2 * kP);
  EXPECT_TRUE(batch.empty());
}

// Promises: B4.
TEST(Batch, RemovalFreesAtOnceWhereverItIs) {
  Batch batch({.pages = 1000, .max_sequences = 2});
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(batch.submit(sequence(id, 600), 0));
  step(batch);  // 1 is half read, 2 begun, 3 waits
  batch.remove(3);
  batch.remove(1);
  batch.check();
  EXPECT_EQ(batch.waiting(), 0);
  const auto rows = rows_by_id(step(batch));
  EXPECT_FALSE(rows.contains(1));
  batch.remove(2);
  batch.remove(2);   // again: nothing
  batch.remove(99);  // unknown: nothing
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.pages().held(), 0);
}

TEST(Batch, AHeldSequenceGetsNoRowsUntilItIsLetGo) {
  Batch batch({.pages = 10});
  ASSERT_TRUE(batch.submit(sequence(1, 4), 0));
  step(batch);
  batch.hold(1, true);
  EXPECT_TRUE(step(batch).rows.empty());
  batch.hold(1, false);
  EXPECT_EQ(step(batch).rows.size(), 1u);
}

TEST(Batch, RejectIfBusyNeverWaits) {
  Batch batch({.pages = 100, .max_sequences = 1});
  auto s = sequence(1, 4);
  s.reject_if_busy = true;
  EXPECT_TRUE(batch.submit(s, 0));
  step(batch);
  s.id = 2;
  const auto refused = batch.submit(s, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Busy);
}

TEST(Batch, ADeadlineEndsARunningSequence) {
  Batch batch({.pages = 100});
  auto s = sequence(1, 4, 100);
  s.deadline_ms = 50;
  ASSERT_TRUE(batch.submit(s, 0));
  step(batch, 0);
  EXPECT_EQ(batch.next_expiry(), 50);
  const Plan plan = batch.plan(50, {});
  ASSERT_EQ(plan.expired.size(), 1u);
  EXPECT_EQ(plan.expired[0].error.code, Code::Timeout);
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.pages().held(), 0);
}

TEST(Batch, ARepeatedPromptIsReadFromTheCacheButForItsLastToken) {
  Batch batch({.pages = 100});
  auto first = sequence(1, 4 * kP);
  ASSERT_TRUE(batch.submit(first, 0));
  step(batch);
  batch.remove(1);
  first.id = 2;
  ASSERT_TRUE(batch.submit(first, 0));
  EXPECT_EQ(rows_by_id(step(batch)).at(2), kP);
  EXPECT_EQ(batch.cached_tokens(2), 3 * kP);
  EXPECT_EQ(batch.prefix_hits(), 3u * kP);
}

// LongRoPE: a text that has grown past the original context has other keys, from its first token on.
TEST(Batch, ASequenceThatBecomesLongIsReadAgainAndSharesNoPageWithShortOnes) {
  constexpr int kLong = 2 * kP + 3;
  Batch batch({.pages = 100, .long_text_from = kLong});
  auto first = sequence(1, 2 * kP, 8);
  ASSERT_TRUE(batch.submit(first, 0));
  std::vector<std::pair<int, int>> rows;  // position, tokens
  for (int i = 0; i < 6; ++i) {
    const Plan plan = step(batch);
    ASSERT_EQ(plan.rows.size(), 1u);
    rows.emplace_back(plan.rows[0].position, static_cast<int>(plan.rows[0].tokens.size()));
    EXPECT_EQ(plan.rows[0].length, 2 * kP + i);
  }
  EXPECT_EQ(rows, (std::vector<std::pair<int, int>>{{0, 2 * kP}, {2 * kP, 1}, {2 * kP + 1, 1}, {0, kLong}, {kLong, 1}, {kLong + 1, 1}}));
  const std::vector<int32_t> grown(batch.tokens(1).begin(), batch.tokens(1).end());
  batch.remove(1);

  first.id = 2;  // short: finds the pages from before
  ASSERT_TRUE(batch.submit(first, 0));
  step(batch);
  EXPECT_EQ(batch.cached_tokens(2), kP);
  batch.remove(2);
  first.id = 3;  // long: finds those of the long text, not the short one's
  first.tokens = grown;
  first.most_tokens = static_cast<int>(grown.size()) + 1;
  ASSERT_TRUE(batch.submit(first, 0));
  step(batch);
  EXPECT_EQ(batch.cached_tokens(3), 2 * kP);
  batch.remove(3);
  first.id = 4;
  first.tenant = "u";
  ASSERT_TRUE(batch.submit(first, 0));
  step(batch);
  EXPECT_EQ(batch.cached_tokens(4), 0) << "another tenant's";
}

// Where all its keys have been read as a long text's from the start, nothing is read twice.
TEST(Batch, ALongPromptIsReadOnce) {
  Batch batch({.pages = 100, .long_text_from = kP});
  ASSERT_TRUE(batch.submit(sequence(1, kP, 8), 0));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(step(batch).rows.at(0).position, i == 0 ? 0 : kP + i - 1);
  EXPECT_EQ(batch.preemptions(), 0u);
}

TEST(Batch, WhatPromptsHaveInCommonIsReadOnce) {
  Batch batch({.pages = 2000});
  const Batch::Sequence shared = sequence(100, 1000);
  for (uint64_t id = 1; id <= 17; ++id) {
    Batch::Sequence one = sequence(id, 20, 8, id == 17 ? "other" : "t");
    one.tokens.insert(one.tokens.begin(), shared.tokens.begin(), shared.tokens.end());
    one.most_tokens += 1000;
    ASSERT_TRUE(batch.submit(std::move(one), 0));
  }
  std::map<uint64_t, int> computed;
  for (int steps = 0; batch.unread_tokens() > 0; ++steps) {
    ASSERT_LT(steps, 20);
    const Plan plan = step(batch, 0, 300);  // chunks end in the middle of a page
    ASSERT_FALSE(plan.rows.empty());
    for (const Row& row : plan.rows)
      if (row.position < 1020) computed[row.id] += static_cast<int>(row.tokens.size());
  }
  const int common = 1000 / kP * kP;
  EXPECT_EQ(computed.at(1), 1020);
  EXPECT_EQ(computed.at(17), 1020);  // no tenant reads another's prefix
  for (uint64_t id = 2; id <= 16; ++id) {
    EXPECT_EQ(computed.at(id), 1020 - common) << id;
    EXPECT_EQ(batch.cached_tokens(id), common) << id;
  }
  EXPECT_EQ(batch.prefix_hits(), 15u * static_cast<uint64_t>(common));
}

TEST(Batch, WhoWaitsForAnothersPrefixReadsOnWhereThatOneLeaves) {
  Batch batch({.pages = 2000});
  for (uint64_t id = 1; id <= 3; ++id) {
    Batch::Sequence one = sequence(100, 1000);
    one.id = id;
    ASSERT_TRUE(batch.submit(std::move(one), 0));
  }
  EXPECT_EQ(rows_by_id(step(batch, 0, 300)), (std::map<uint64_t, int>{{1, 300}}));
  batch.remove(1);
  EXPECT_EQ(rows_by_id(step(batch, 0, 300)), (std::map<uint64_t, int>{{2, 300}}));
  batch.hold(2, true);
  EXPECT_EQ(rows_by_id(step(batch, 0, 300)).begin()->first, 3u);
  batch.hold(2, false);
  int last = 0;
  for (int steps = 0; steps < 20 && last < 2; ++steps)
    for (const Row& row : step(batch, 0, 300).rows) last += row.logits && row.position + row.tokens.size() == 1000;
  EXPECT_EQ(last, 2);
}

// Two tenants that always want more than there is: equal tokens, whatever their requests look like.
// Promises: B5.
TEST(Batch, TenantsGetEqualTokens) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    Batch batch({.pages = 400, .max_sequences = 16, .queue = {.length = 1000, .time_ms = 1 << 30}});
    std::map<std::string, int64_t> tokens;
    std::map<std::string, int> here;
    std::map<uint64_t, std::string> tenant_of;
    uint64_t next = 1;
    const int shared = static_cast<int>(3 + random.below(12));
    for (int i = 0; i < 2000; ++i) {
      // The one floods with long answers, the others keep a few short ones under way.
      for (const auto& [tenant, most, prompt, answer] : {std::tuple("flood", 200, 60, 128), std::tuple("few", 12, 20, 16), std::tuple("prompts", 20, 400, 4)}) {
        while (here[tenant] < most) {
          tenant_of[next] = tenant;
          ++here[tenant];
          ASSERT_TRUE(batch.submit(sequence(next++, prompt, answer, tenant), i));
        }
      }
      const Plan plan = batch.plan(i, {.prompts = 64, .shared = shared});
      ASSERT_FALSE(plan.rows.empty());
      batch.commit(plan);
      for (const Row& row : plan.rows) {
        if (i >= 200) tokens[tenant_of.at(row.id)] += static_cast<int64_t>(row.tokens.size());
        if (!row.logits) continue;
        const std::string& tenant = tenant_of.at(row.id);
        const size_t goal = tenant == "flood" ? 188 : tenant == "few" ? 36 : 404;
        if (batch.tokens(row.id).size() + 1 >= goal) {
          --here[tenant];
          batch.remove(row.id);
        } else {
          batch.append(row.id, 7);
        }
      }
      batch.check();
    }
    double sum = 0, squares = 0;
    for (const auto& [tenant, count] : tokens) sum += static_cast<double>(count), squares += static_cast<double>(count) * static_cast<double>(count);
    EXPECT_GE(sum * sum / (3 * squares), 0.95) << "Jain's index, seed " << seed << ": " << tokens["flood"] << " " << tokens["few"] << " " << tokens["prompts"];
  }
}

// A flood holds every slot: another tenant's request has one in the next step, and a row in every step.
TEST(Batch, AFloodGivesASlotToAnotherTenantAtOnce) {
  Batch batch({.pages = 1000, .max_sequences = 8});
  for (uint64_t id = 1; id <= 40; ++id) ASSERT_TRUE(batch.submit(sequence(id, 32, 200, "flood"), 0));
  for (int i = 0; i < 10; ++i) step(batch);
  EXPECT_EQ(batch.running(), 8);
  ASSERT_TRUE(batch.submit(sequence(100, 20, 50, "light"), 0));
  const auto shared = [&] {
    const Plan plan = batch.plan(0, {.prompts = 64, .shared = 3});
    batch.commit(plan);
    for (const Row& row : plan.rows)
      if (row.logits) batch.append(row.id, 7);
    batch.check();
    return plan;
  };
  EXPECT_EQ(rows_by_id(shared()).at(100), 20);
  EXPECT_EQ(batch.preemptions(), 1u);
  std::map<uint64_t, int> rows;
  for (int i = 0; i < 28; ++i) {
    const Plan plan = shared();
    EXPECT_EQ(plan.answer_rows, 3);
    for (const Row& row : plan.rows) rows[row.id] += static_cast<int>(row.tokens.size());
    // Its prompt of 20 tokens counts: the flood has caught up after as many.
    if (i >= 8) {
      EXPECT_TRUE(rows_by_id(plan).contains(100)) << "step " << i;
    }
  }
  for (uint64_t id = 1; id <= 7; ++id) EXPECT_NEAR(rows[id], 9, 1) << "the flood's own take turns";
  batch.remove(100);
  EXPECT_EQ(rows_by_id(batch.plan(limits::kShareLingerMs, {.shared = 3})).size(), 8u) << "and all go on when they are alone";
}

// Memory for keys and values is shared as slots are.
TEST(Batch, AFloodGivesPagesToAnotherTenant) {
  Batch batch({.pages = 20});
  for (uint64_t id = 1; id <= 5; ++id) ASSERT_TRUE(batch.submit(sequence(id, 3 * kP, 3 * kP, "flood"), 0));
  for (int i = 0; i < 20; ++i) step(batch);
  ASSERT_TRUE(batch.submit(sequence(100, 4 * kP, 8, "light"), 0));
  EXPECT_TRUE(rows_by_id(step(batch)).contains(100));
  EXPECT_TRUE(batch.contains(1));
}

// Seeds: random lengths, tenants, cancels, holds and tight memory. Invariants after every step; all that is not
// cancelled ends with all its tokens; nothing is held at the end.
// Promises: B1, B2, B4.
TEST(Batch, RandomTrafficEndsAndLeaksNothing) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    Batch batch({.pages = static_cast<int>(8 + random.below(40)), .max_rows = 128, .max_sequences = 16, .queue = {.length = 1000, .time_ms = 1 << 30}});
    const int most = batch.pages().count() * kP;
    uint64_t next = 1;
    std::map<uint64_t, size_t> goal;
    int64_t now = 0;
    for (int i = 0; i < 3000 && (i < 1000 || !batch.empty()); ++i, ++now) {
      if (i < 1000 && random.chance(0.15)) {
        auto s = sequence(next, static_cast<int>(1 + random.below(static_cast<uint64_t>(most) / 2)), static_cast<int>(1 + random.below(60)),
                          random.chance(0.3) ? "x" : "y");
        if (s.most_tokens <= most) {
          goal[next] = static_cast<size_t>(s.most_tokens);
          ASSERT_TRUE(batch.submit(std::move(s), now));
          ++next;
        }
      }
      if (!goal.empty() && random.chance(0.05)) {
        const uint64_t id = std::next(goal.begin(), static_cast<ptrdiff_t>(random.below(goal.size())))->first;
        batch.remove(id);
        goal.erase(id);
      }
      const Plan plan = batch.plan(now, {.prompts = static_cast<int>(1 + random.below(128)), .shared = static_cast<int>(1 + random.below(40))});
      batch.commit(plan);
      for (const Row& row : plan.rows) {
        if (!row.logits) continue;
        if (batch.tokens(row.id).size() + 1 > goal.at(row.id) - 1) {
          batch.remove(row.id);
          goal.erase(row.id);
        } else {
          batch.append(row.id, static_cast<int32_t>(random.below(100)));
        }
      }
      batch.check();
    }
    EXPECT_TRUE(goal.empty()) << "seed " << seed;
    EXPECT_TRUE(batch.empty());
    EXPECT_EQ(batch.pages().held(), 0);
  }
}

}  // namespace
}  // namespace verge::worker
