// The tasks that a worker can serve: one file of this folder each, and one line in table.cpp.
#pragma once

#include "worker/model_service.h"

namespace verge::worker {

using OpenService = Result<std::unique_ptr<ModelService>> (*)(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);

struct Task {
  const char* name;  // as in Request.task
  OpenService open;
};

// Null where no worker serves it.
const Task* find_task(std::string_view name);

Result<std::unique_ptr<ModelService>> open_image_model(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);
Result<std::unique_ptr<ModelService>> open_text_classification(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);
Result<std::unique_ptr<ModelService>> open_text_embeddings(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);
Result<std::unique_ptr<ModelService>> open_text_generation(boost::asio::any_io_executor io, const HostOptions& host, ServiceOptions options);

}  // namespace verge::worker
