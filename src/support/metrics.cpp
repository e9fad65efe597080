#include "support/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <mutex>

#include "support/limits.h"

namespace verge::metrics {
namespace {

// One family with its series by label values. The library has such a map too, but behind a lock and a
// hash of name-value pairs at each call.
template <class Metric>
struct Series {
  prometheus::Family<Metric>* family = nullptr;
  std::vector<std::string> names;
  std::vector<double> buckets;
  std::map<LabelValues, Metric*> known;
  std::mutex mutex;

  Metric& get(const LabelValues& values) {
    std::lock_guard lock(mutex);
    if (const auto it = known.find(values); it != known.end()) return *it->second;
    LabelValues taken = values;
    taken.resize(names.size());  // a caller with too few labels gets empty ones
    if (known.size() >= limits::kMetricSeries) taken.assign(names.size(), "other");
    if (const auto it = known.find(taken); it != known.end()) return *it->second;
    prometheus::Labels labels;
    for (size_t i = 0; i < names.size(); ++i) labels[names[i]] = taken[i];
    Metric* metric;
    if constexpr (std::is_same_v<Metric, prometheus::Histogram>) metric = &family->Add(labels, prometheus::Histogram::BucketBoundaries(buckets));
    else metric = &family->Add(labels);
    known[taken] = metric;
    return *metric;
  }
};
using CounterSeries = Series<prometheus::Counter>;
using GaugeSeries = Series<prometheus::Gauge>;
using HistogramSeries = Series<prometheus::Histogram>;

}  // namespace

struct Registry::Impl {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::map<std::string, CounterSeries> counters;
  std::map<std::string, GaugeSeries> gauges;
  std::map<std::string, HistogramSeries> histograms;
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

// A family without labels has its one series from the start, so that a zero is shown as one.
Counter Registry::counter(const std::string& name, const std::string& help, std::vector<std::string> labels) {
  auto [it, added] = impl_->counters.try_emplace(name);
  if (added) {
    it->second.family = &prometheus::BuildCounter().Name(name).Help(help).Register(*impl_->registry);
    it->second.names = std::move(labels);
    if (it->second.names.empty()) it->second.get({});
  }
  Counter handle;
  handle.family_ = &it->second;
  return handle;
}

Gauge Registry::gauge(const std::string& name, const std::string& help, std::vector<std::string> labels) {
  auto [it, added] = impl_->gauges.try_emplace(name);
  if (added) {
    it->second.family = &prometheus::BuildGauge().Name(name).Help(help).Register(*impl_->registry);
    it->second.names = std::move(labels);
    if (it->second.names.empty()) it->second.get({});
  }
  Gauge handle;
  handle.family_ = &it->second;
  return handle;
}

Histogram Registry::histogram(const std::string& name, const std::string& help, std::vector<std::string> labels, std::vector<double> buckets) {
  auto [it, added] = impl_->histograms.try_emplace(name);
  if (added) {
    it->second.family = &prometheus::BuildHistogram().Name(name).Help(help).Register(*impl_->registry);
    it->second.names = std::move(labels);
    it->second.buckets = std::move(buckets);
    if (it->second.names.empty()) it->second.get({});
  }
  Histogram handle;
  handle.family_ = &it->second;
  return handle;
}

std::string Registry::text() const { return prometheus::TextSerializer().Serialize(impl_->registry->Collect()); }

void Counter::add(double amount, const LabelValues& labels) {
  if (family_) static_cast<CounterSeries*>(family_)->get(labels).Increment(amount);
}
void Gauge::set(double value, const LabelValues& labels) {
  if (family_) static_cast<GaugeSeries*>(family_)->get(labels).Set(value);
}
void Gauge::add(double amount, const LabelValues& labels) {
  if (family_) static_cast<GaugeSeries*>(family_)->get(labels).Increment(amount);
}
void Histogram::observe(double value, const LabelValues& labels) {
  if (family_) static_cast<HistogramSeries*>(family_)->get(labels).Observe(value);
}

std::vector<double> latency_buckets() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
}

}  // namespace verge::metrics
