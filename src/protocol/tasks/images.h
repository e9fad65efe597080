// Image classification and object detection between api and worker. Request.payload is the picture's file as it is;
// there are no parameters.
#pragma once

#include <string>
#include <vector>

#include "protocol/event.h"

namespace verge::protocol {

struct ClassScore {
  std::string label;
  double score = 0;  // a share of a softmax over all classes
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("label", self.label);
    visit("score", self.score);
  }
  bool operator==(const ClassScore&) const = default;
};

struct ImageClasses {
  std::vector<ClassScore> classes;  // best first, at most limits::kImageClasses
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) { visit("classes", self.classes); }
  bool operator==(const ImageClasses&) const = default;
};
Result to_result(const ImageClasses& classes);
verge::Result<ImageClasses> image_classes(const Result& result);

struct FoundObject {
  std::string label;
  double score = 0;
  int64_t xmin = 0, ymin = 0, xmax = 0, ymax = 0;  // whole pixels of the picture as it was sent
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) {
    visit("label", self.label);
    visit("score", self.score);
    visit("xmin", self.xmin);
    visit("ymin", self.ymin);
    visit("xmax", self.xmax);
    visit("ymax", self.ymax);
  }
  bool operator==(const FoundObject&) const = default;
};

struct FoundObjects {
  std::vector<FoundObject> objects;  // best first
  template <class Self, class Visit>
  static void fields(Self& self, Visit& visit) { visit("objects", self.objects); }
  bool operator==(const FoundObjects&) const = default;
};
Result to_result(const FoundObjects& objects);
verge::Result<FoundObjects> found_objects(const Result& result);

}  // namespace verge::protocol
