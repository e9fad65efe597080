// Metrics for Prometheus, as the ecosystem names them: verge_<what>_<unit>[_total], each with help.
// Families are made once, by whoever counts; a label value set beyond kMetricSeries is counted under
// "other", so that a hostile client cannot grow memory by inventing models.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace verge::metrics {

using LabelValues = std::vector<std::string>;  // in the order of the family's names

class Counter {
 public:
  void add(double amount = 1, const LabelValues& labels = {});

 private:
  friend class Registry;
  void* family_ = nullptr;
};
class Gauge {
 public:
  void set(double value, const LabelValues& labels = {});
  void add(double amount, const LabelValues& labels = {});

 private:
  friend class Registry;
  void* family_ = nullptr;
};
class Histogram {
 public:
  void observe(double value, const LabelValues& labels = {});

 private:
  friend class Registry;
  void* family_ = nullptr;
};

// Seconds, for latencies from 1 ms to 2 minutes.
std::vector<double> latency_buckets();

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The same name again gives the same family. The handles live as long as the registry.
  Counter counter(const std::string& name, const std::string& help, std::vector<std::string> labels = {});
  Gauge gauge(const std::string& name, const std::string& help, std::vector<std::string> labels = {});
  Histogram histogram(const std::string& name, const std::string& help, std::vector<std::string> labels = {},
                      std::vector<double> buckets = latency_buckets());

  // Text exposition format 0.0.4, for content type kContentType.
  std::string text() const;
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge::metrics
