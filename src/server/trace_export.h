// Sends spans to a collector: OTLP over HTTP with JSON (https://opentelemetry.io/docs/specs/otlp/), as Jaeger, Tempo and the
// OpenTelemetry Collector take it. Configured as every OpenTelemetry program is:
//   OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT + "/v1/traces"; OTEL_SERVICE_NAME
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

#include "support/error.h"
#include "support/json.h"
#include "support/trace.h"

namespace verge::server {

class TraceExport {
 public:
  // Null where the environment names no collector. InvalidInput where its address is none. `node`: this program's name.
  static Result<std::unique_ptr<TraceExport>> from_environment(boost::asio::any_io_executor executor, const std::string& node);
  virtual ~TraceExport() = default;  // spans that were not sent are lost
};

// The body of one export. Pure.
json::object otlp_body(const std::vector<trace::Record>& records, const std::string& service, const std::string& node);

}  // namespace verge::server
