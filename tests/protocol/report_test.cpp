#include "protocol/report.h"

#include <gtest/gtest.h>

#include "protocol/frame.h"

namespace verge::protocol {
namespace {

ModelReport example() {
  ModelReport report;
  report.id = "@cf/a/b";
  report.task = "text-generation";
  report.loaded = report.suspect = true;
  report.queued = 3, report.running = 7, report.queued_tokens = 4096;
  report.slots = 8, report.wait_slots = 100;
  report.prefill_tokens_per_s = 812.5;
  report.first_token_ms = 31, report.slot_ms = 1234, report.load_ms = 77;
  report.kv_free_tokens = 10'000;
  report.bytes = int64_t{3} << 30;
  report.build = "0123456789abcdef";
  return report;
}

TEST(ModelReport, GoesThereAndBackWithEveryField) {
  const json::object written = to_json(example());
  auto read = read_report(written);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(json::serialize(written), json::serialize(to_json(*read)));
  EXPECT_EQ(8, read->slots);
  EXPECT_EQ(100, read->wait_slots);
  EXPECT_EQ(1234, read->slot_ms);
  EXPECT_EQ(31, read->first_token_ms);
}

TEST(ModelReport, WhatNoMachineCanBeIsBroughtWithinBounds) {
  auto read = read_report(json::object{{"id", "m"}, {"queued", -5}, {"slots", 0}, {"slot_ms", int64_t{1} << 60}, {"prefill_tokens_per_s", 1e300}, {"bytes", -1}});
  ASSERT_TRUE(read);
  EXPECT_EQ(0, read->queued);
  EXPECT_EQ(1, read->slots);
  EXPECT_EQ(3'600'000, read->slot_ms);
  EXPECT_EQ(1e9, read->prefill_tokens_per_s);
  EXPECT_EQ(0, read->bytes);
  EXPECT_FALSE(read_report(json::object{{"id", ""}}));
  EXPECT_FALSE(read_report(json::value(3)));
}

TEST(ModelReport, AnAnswerTellsHowBusyItsModelIs) {
  Accepted accepted(10, 4, "node", "m", false);
  accepted.load = {3, 7, 4096};
  std::string frame;
  encode_event(Event(accepted), frame);
  auto read = decode_event(std::string_view(frame).substr(4));
  ASSERT_TRUE(read);
  const auto* back = std::get_if<Accepted>(&*read);
  ASSERT_TRUE(back && back->load);
  EXPECT_EQ(3, back->load->queued);
  EXPECT_EQ(7, back->load->running);
  EXPECT_EQ(4096, back->load->queued_tokens);
}

}  // namespace
}  // namespace verge::protocol
