// How many rows the next step may have, by what steps have taken. Pure: rows and times go in.
//
// A step's time is that of its answers' rows (measured by their number) and of its prompts' rows (measured by the row, and
// followed quickly: a row costs more the further into a long prompt it is).
//
// PA1 A step that reads prompts beside answers takes about kPrefillStepTargetMs, or kPrefillStepTimes what the answers take.
// PA2 Where n tenants share the batch, a step takes about 1 + (n - 1) (kShareStepTimes - 1) times the shortest one: an answer
//    then goes at nearly the pace of its part of the machine, however many others' answers are there.
#pragma once

#include <array>
#include <cstdint>

namespace verge::worker {

class Pace {
 public:
  void observe(int answer_rows, int prompt_rows, int64_t took_us);
  // Rows of prompts beside so many rows of answers; >= 1.
  int prompt_rows(int answer_rows) const;
  // All rows of a step that so many tenants share; >= tenants. Without a limit where nothing is known.
  int shared_rows(int tenants) const;
  double step_us(int answer_rows) const;  // expected; 0 = not known

 private:
  struct Size {             // steps of 1, 2, 3-4, 5-8 … rows of answers alone
    double rows = 0, us = 0;  // means of late; us = 0: none yet
  };
  std::array<Size, 8> sizes_{};
  double prompt_row_us_ = 0;
};

}  // namespace verge::worker
