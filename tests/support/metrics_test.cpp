#include "support/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/limits.h"

namespace verge::metrics {
namespace {

bool has(const std::string& text, const std::string& line) { return text.find(line) != std::string::npos; }

TEST(Metrics, WritesTheExpositionFormat) {
  Registry registry;
  Counter requests = registry.counter("verge_requests_total", "Requests answered.", {"model", "status"});
  requests.add(1, {"@cf/meta/llama", "200"});
  requests.add(2, {"@cf/meta/llama", "200"});
  registry.gauge("verge_queue_requests", "Requests waiting.").set(3);
  Histogram latency = registry.histogram("verge_first_token_seconds", "Time to the first token.", {}, {0.1, 1});
  latency.observe(0.05);
  latency.observe(5);
  const std::string text = registry.text();
  EXPECT_TRUE(has(text, "# HELP verge_requests_total Requests answered.\n# TYPE verge_requests_total counter\n")) << text;
  EXPECT_TRUE(has(text, "verge_requests_total{model=\"@cf/meta/llama\",status=\"200\"} 3")) << text;
  EXPECT_TRUE(has(text, "verge_queue_requests 3")) << text;
  EXPECT_TRUE(has(text, "verge_first_token_seconds_bucket{le=\"0.1\"} 1")) << text;
  EXPECT_TRUE(has(text, "verge_first_token_seconds_bucket{le=\"+Inf\"} 2")) << text;
  EXPECT_TRUE(has(text, "verge_first_token_seconds_count 2")) << text;
}

TEST(Metrics, TheSameNameIsTheSameFamily) {
  Registry registry;
  registry.counter("verge_x_total", "X.").add(1);
  registry.counter("verge_x_total", "X.").add(1);
  EXPECT_TRUE(has(registry.text(), "verge_x_total 2"));
}

TEST(Metrics, AnUntouchedFamilyShowsZero) {
  Registry registry;
  registry.counter("verge_errors_total", "Errors.");
  EXPECT_TRUE(has(registry.text(), "verge_errors_total 0"));
}

TEST(Metrics, LabelValuesCannotGrowWithoutBound) {
  Registry registry;
  Counter counter = registry.counter("verge_y_total", "Y.", {"model"});
  for (size_t i = 0; i < limits::kMetricSeries + 1000; ++i) counter.add(1, {"model-" + std::to_string(i)});
  const std::string text = registry.text();
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), static_cast<long>(limits::kMetricSeries) + 5);
  EXPECT_TRUE(has(text, "verge_y_total{model=\"other\"} 1000")) << text.substr(0, 500);
}

TEST(Metrics, AHandleWithoutRegistryCountsNothing) {
  Counter counter;
  counter.add(1);
  Histogram histogram;
  histogram.observe(1);
  Gauge gauge;
  gauge.set(1);
}

}  // namespace
}  // namespace verge::metrics
