#include "router/journeys.h"

#include <gtest/gtest.h>

namespace verge::router {
namespace {

using Kind = Action::Kind;

NodeState with_model(int queued = 0) {
  NodeState state;
  state.models["m"].loaded = true;
  state.models["m"].queued = queued;
  return state;
}

struct JourneysTest : ::testing::Test {
  void node(const std::string& name) { journeys.registry().add(name, false, with_model(), now); }
  uint64_t arrive(Instant deadline = 0, bool in_steps = true, std::string affinity = "") {
    Arrival arrival;
    arrival.need.model = "m";
    arrival.need.affinity = std::move(affinity);
    arrival.need.prompt_tokens = 10;
    arrival.tenant = "t";
    arrival.seed = ++seed;
    arrival.deadline = deadline;
    arrival.in_steps = in_steps;
    return journeys.arrived(std::move(arrival), now, out);
  }
  // Takes what is to be done, in order.
  std::string done() {
    std::string text;
    for (const Action& action : out) {
      if (!text.empty()) text += ' ';
      switch (action.kind) {
        case Kind::Start: text += "start:" + action.choice.node; break;
        case Kind::HangUp: text += "hang-up"; break;
        case Kind::Again: text += "again"; break;
        case Kind::Wait: text += "wait"; break;
        case Kind::Fail: text += std::string("fail:") + to_string(action.error.code); break;
      }
    }
    out.clear();
    return text;
  }
  void progress(uint64_t id) {
    journeys.heard(id);
    journeys.accepted(id, "build", {}, now);
    journeys.progressed(id, now);
  }
  void pass(Instant ms) {
    const Instant until = now + ms;
    for (Instant wake = journeys.wake(); wake <= until; wake = journeys.wake()) {
      now = std::max(now, wake);
      journeys.tick(now, out);
    }
    now = until;
  }
  void expect_nothing_held() {
    EXPECT_EQ(0u, journeys.under_way() + journeys.waiting());
    EXPECT_EQ(0, journeys.retries());
    EXPECT_EQ(Journeys::kNever, journeys.wake());
    for (const auto& [name, node] : journeys.registry().nodes())
      for (const auto& [model, seen] : node.seen) EXPECT_EQ(0, seen.under_way) << name;
  }

  Journeys journeys;
  Actions out;
  Instant now = 1000;
  uint64_t seed = 0;
};

// Promises: J1.
TEST_F(JourneysTest, J1ARequestIsAnsweredByTheFirstNode) {
  node("a");
  const uint64_t id = arrive();
  EXPECT_EQ("start:a", done());
  progress(id);
  journeys.ended(id, 5, now, out);
  EXPECT_EQ("", done());
  expect_nothing_held();
}

TEST_F(JourneysTest, J1AModelThatIsNowhereFailsAtOnce) {
  journeys.registry().add("a", false, NodeState(), now);
  arrive();
  EXPECT_EQ("fail:model_unavailable", done());
  expect_nothing_held();
}

// A gateway that has just started hears the nodes one after another.
TEST_F(JourneysTest, J1AModelMayBeAtANodeThatIsNotHeardYet) {
  journeys.heartbeat("a", NodeState(), now, out);
  const uint64_t id = arrive();
  EXPECT_EQ("wait", done());
  pass(500);
  journeys.heartbeat("b", with_model(), now, out);
  EXPECT_EQ("start:b", done());
  journeys.left(id, now, out);
  Arrival arrival;
  arrival.need.model = "nowhere";
  journeys.arrived(arrival, now, out);
  EXPECT_EQ("wait", done());
  pass(limits::kNodeDeadMs);
  EXPECT_EQ("fail:model_unavailable", done());
  journeys.arrived(arrival, now, out);
  EXPECT_EQ("fail:model_unavailable", done());
}

// The client may leave at any moment of a request's life.
// Promises: J2.
TEST_F(JourneysTest, J2WhoLeavesHoldsNothing) {
  const uint64_t waiting = arrive();
  EXPECT_EQ("wait", done());
  journeys.left(waiting, now, out);
  expect_nothing_held();

  node("a");
  const uint64_t trying = arrive();
  EXPECT_EQ("start:a", done());
  journeys.left(trying, now, out);
  journeys.left(trying, now, out);
  expect_nothing_held();

  const uint64_t pausing = arrive();
  done();
  journeys.failed(pausing, Error{Code::WorkerGone, "refused"}, 0, now, out);
  EXPECT_EQ("again", done());
  journeys.left(pausing, now, out);
  expect_nothing_held();

  const uint64_t stalled = arrive();
  done();
  progress(stalled);
  journeys.stalled(stalled, 3, now, out);
  journeys.left(stalled, now, out);
  expect_nothing_held();
  EXPECT_EQ("", done());
}

// Promises: J3.
TEST_F(JourneysTest, J3ASilentNodeIsHungUpOnBeforeAnotherIsAsked) {
  node("a");
  node("b");
  arrive();
  const std::string first = done();
  const Instant heard = now;
  pass(limits::kNodeSuspectMs / 2);
  // Both are heard, so that neither is dead.
  for (Instant at = 0; at < 60'000; at += 500) {
    for (const char* name : {"a", "b"}) journeys.heartbeat(name, with_model(), now, out);
    if (!out.empty()) break;
    pass(500);
    if (!out.empty()) break;
  }
  EXPECT_EQ(first == "start:a" ? "hang-up again start:b" : "hang-up again start:a", done());
  EXPECT_GE(now - heard, limits::kPatienceMs);
}

TEST_F(JourneysTest, J4TheOnlyNodeHasTime) {
  node("a");
  const uint64_t id = arrive();
  EXPECT_EQ("start:a", done());
  for (Instant at = 0; at < 60'000; at += 500) {
    journeys.heartbeat("a", with_model(), now, out);
    pass(500);
  }
  EXPECT_EQ("", done());
  progress(id);
  journeys.ended(id, 1, now, out);
  expect_nothing_held();
}

// Promises: J4.
TEST_F(JourneysTest, J4WhatADeadNodeHeldGoesElsewhere) {
  node("a");
  const uint64_t id = arrive();
  EXPECT_EQ("start:a", done());
  progress(id);
  pass(limits::kNodeSuspectMs);
  journeys.heartbeat("b", with_model(), now, out);
  pass(limits::kNodeDeadMs - limits::kNodeSuspectMs + 300);
  EXPECT_EQ("hang-up again start:b", done());
  journeys.ended(id, 5, now, out);
  expect_nothing_held();
}

TEST_F(JourneysTest, J4ANodeThatStartedAnewHasForgottenItsRequests) {
  NodeState state = with_model();
  state.boot = 1, state.sequence = 1;
  journeys.heartbeat("a", state, now, out);
  arrive();
  EXPECT_EQ("start:a", done());
  state.boot = 2;
  journeys.heartbeat("a", state, now, out);
  pass(1000);
  EXPECT_EQ("hang-up again wait start:a", done());
}

// Promises: J5.
TEST_F(JourneysTest, J5ADeadlineEndsWhatHasBroughtNothing) {
  arrive(now + 500);
  EXPECT_EQ("wait", done());
  pass(500);
  EXPECT_EQ("fail:timeout", done());
  node("a");
  arrive(now + 500, false);
  EXPECT_EQ("start:a", done());
  pass(500);
  EXPECT_EQ("hang-up fail:timeout", done());
  const uint64_t goes_on = arrive(now + 500);
  EXPECT_EQ("start:a", done());
  progress(goes_on);
  pass(2000);
  EXPECT_EQ("", done());
  // Nor does it keep the answer from going on elsewhere.
  node("b");
  journeys.failed(goes_on, Error{Code::WorkerGone, "killed"}, 3, now, out);
  EXPECT_EQ("again start:b", done());
  journeys.ended(goes_on, 9, now, out);
  expect_nothing_held();
}

TEST_F(JourneysTest, AReaderThatStallsGivesItsPlaceUpAndGoesOnLater) {
  node("a");
  const uint64_t id = arrive();
  done();
  progress(id);
  journeys.stalled(id, 3, now, out);
  EXPECT_EQ("", done());
  EXPECT_EQ(0, journeys.registry().find("a")->seen.at("m").under_way);
  pass(60'000);
  journeys.heartbeat("a", with_model(), now, out);
  journeys.reads_again(id, now, out);
  EXPECT_EQ("start:a", done());
  journeys.ended(id, 9, now, out);
  expect_nothing_held();
}

// However short its prompts: the node that served a session last has them in its cache.
TEST_F(JourneysTest, ASessionReturnsToItsNode) {
  for (const char* name : {"a", "b", "c", "d", "e"}) node(name);
  std::string home;
  for (int turn = 0; turn < 8; ++turn) {
    const uint64_t id = arrive(0, true, "session");
    ASSERT_EQ(Kind::Start, out.at(0).kind);
    if (turn > 0) {
      EXPECT_GT(out[0].choice.cached_tokens, 0);
      EXPECT_EQ(home, out[0].choice.node);
    }
    home = out[0].choice.node;
    done();
    progress(id);
    journeys.ended(id, 5, now, out);
  }
}

// Where all refuse, those who wait do not ask without end.
TEST_F(JourneysTest, NodesThatAllRefuseAreNotStormed) {
  node("a");
  node("b");
  std::vector<uint64_t> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(arrive());
  int starts = 0;
  std::vector<uint64_t> begun;
  const Instant end = now + limits::kRoomWaitMs + 1000;
  while (now < end) {
    for (const Action& action : std::exchange(out, {}))
      if (action.kind == Kind::Start) begun.push_back(action.id), ++starts;
    for (uint64_t id : std::exchange(begun, {})) journeys.failed(id, Error{Code::WorkerGone, "refused"}, 0, now, out);
    for (const char* name : {"a", "b"}) journeys.heartbeat(name, with_model(), now, out);  // the way back is open
    if (out.empty()) pass(50);
  }
  out.clear();
  EXPECT_LE(starts, 500 * 13 / 10 + limits::kRetryPerSecond * limits::kRoomWaitMs / 1000 * 3 + 200);
  expect_nothing_held();
}

// And once one does well, all of them get on, without waiting for the budget.
TEST_F(JourneysTest, WhenANodeDoesWellAgainAllGetOn) {
  NodeState state = with_model();
  state.boot = 1, state.sequence = 1;
  journeys.heartbeat("a", state, now, out);
  for (int i = 0; i < 200; ++i) {
    const uint64_t id = arrive();
    if (out.at(0).kind == Kind::Start) journeys.failed(id, Error{Code::WorkerGone, "refused"}, 0, now, out);
    out.clear();
  }
  state.boot = 2;
  state.models["m"].slots = 1000;
  journeys.heartbeat("a", state, now, out);
  pass(200);
  int starts = 0;
  for (const Action& action : out) starts += action.kind == Kind::Start;
  EXPECT_EQ(200, starts);
}

}  // namespace
}  // namespace verge::router
