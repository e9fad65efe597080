// Text classification between api and worker, and reranking, which is classification of pairs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/event.h"

namespace verge::protocol {

struct ClassificationParameters {
  std::optional<std::string> query;  // each text is classified as a pair (query, text)
  std::vector<std::string> texts;    // at least one
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("query", self.query);
    visit("texts", self.texts);
  }
  bool operator==(const ClassificationParameters&) const = default;
};
json::object to_json(const ClassificationParameters& parameters);
verge::Result<ClassificationParameters> classification_parameters(const json::object& params);

// A row a text, a number a label: the softmax over the labels; of a model with one label (rerankers) the sigmoid of its score.
struct Classification {
  std::vector<std::string> labels;
  std::vector<std::vector<double>> scores;  // rows are as long as labels
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("labels", self.labels);
    visit("scores", self.scores);
  }
  bool operator==(const Classification&) const = default;
};
Result to_result(const Classification& classification);
verge::Result<Classification> classification(const Result& result);

}  // namespace verge::protocol
