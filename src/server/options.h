// What `verge serve` was asked for, as its command line says it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accounts/meter.h"
#include "accounts/response_store.h"
#include "node/liveness.h"
#include "server/data_folder.h"
#include "support/limits.h"

namespace verge::server {

struct Options {
  std::string listen = "127.0.0.1:8780";
  std::string data = default_data_folder();
  std::vector<std::string> models;     // ID=PATH
  std::vector<std::string> preload;
  std::vector<std::string> catalogues;
  std::vector<std::string> workers;    // DIR or ROUTE=DIR
  std::vector<std::string> worker_accounts, worker_environments, worker_secrets;  // NAME=…
  std::vector<std::string> origins;    // web pages that may call without a token
  std::vector<std::string> hosts;      // names of this machine
  std::string image_result;
  std::string quota_message;
  std::vector<std::string> named_stand_ins;  // ID=OTHER
  bool stand_ins = false;
  std::string name;
  std::string token_file;
  std::string certificate, key;
  bool insecure = false;
  int threads = 0, context = 0;
  uint64_t memory_mib = 0, kv_mib = 0;
  std::string kv_type, weights;
  bool quotas = false;
  int cut_off_percent = accounts::MeterOptions().cut_off_percent;
  accounts::ResponseBounds kept_responses;
  int drain_s = limits::kDrainMs / 1000;
  std::optional<int> drain_delay_s;
  std::string role, cluster, region, coordinates, keys, advertise, peer_listen;
  int hung_after_s = node::kHungFloorMs / 1000;
  bool insecure_cluster = false, null_engine = false;
  std::string program;  // that runs models, inspections and conversions; "" = this one

  bool gateway() const { return role != "node"; }
  bool node() const { return role != "gateway"; }
};

}  // namespace verge::server
