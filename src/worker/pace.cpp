#include "worker/pace.h"

#include <algorithm>
#include <bit>

#include "support/limits.h"
#include "support/overload_limits.h"

namespace verge::worker {
namespace {

constexpr double kNewest = 0.2, kNewestPrompt = 0.5;  // weights in the means
constexpr int kLeastPromptRows = 16;      // fewer cost about as much as so many
constexpr int kFirstPromptRows = 64;      // while nothing is known
constexpr int kFirstSharedRows = 4;       // while short steps are not known
constexpr double kAloneTimes = 4;         // a step of prompts alone keeps nobody waiting but who comes meanwhile

size_t size_of(int rows) { return std::min<size_t>(std::bit_width(static_cast<unsigned>(rows - 1)), 7); }

}  // namespace

void Pace::observe(int answer_rows, int prompt_rows, int64_t took_us) {
  const auto us = static_cast<double>(took_us);
  if (prompt_rows == 0) {
    if (answer_rows == 0) return;
    Size& size = sizes_[size_of(answer_rows)];
    const double weight = size.us == 0 ? 1 : kNewest;
    size.us += weight * (us - size.us);
    size.rows += weight * (answer_rows - size.rows);
    return;
  }
  if (prompt_rows < kLeastPromptRows) return;
  const double own = std::max(us - step_us(answer_rows), us / 10) / prompt_rows;
  prompt_row_us_ = prompt_row_us_ == 0 ? own : prompt_row_us_ + kNewestPrompt * (own - prompt_row_us_);
}

double Pace::step_us(int answer_rows) const {
  if (answer_rows == 0) return 0;
  const double rows = answer_rows;
  const Size *below = nullptr, *above = nullptr;
  for (const Size& size : sizes_) {
    if (size.us == 0) continue;
    if (size.rows <= rows) below = &size;
    else if (!above) above = &size;
  }
  if (!below && !above) return 0;
  if (!below) return above->us;
  if (!above) return below->us * std::max(1.0, rows / below->rows);  // no more than in proportion
  return below->us + (above->us - below->us) * (rows - below->rows) / (above->rows - below->rows);
}

int Pace::prompt_rows(int answer_rows) const {
  if (prompt_row_us_ == 0) return kFirstPromptRows;
  const double answers = step_us(answer_rows);
  const double target = answer_rows == 0 ? kAloneTimes * limits::kPrefillStepTargetMs * 1000.0
                                         : std::max(limits::kPrefillStepTargetMs * 1000.0, limits::kPrefillStepTimes * answers);
  return static_cast<int>(std::clamp<double>((target - answers) / prompt_row_us_, kLeastPromptRows, limits::kBatchTokens));
}

int Pace::shared_rows(int tenants) const {
  if (tenants < 2) return limits::kBatchTokens;
  const bool any = std::ranges::any_of(sizes_, [](const Size& size) { return size.us > 0; });
  if (!any) return limits::kBatchTokens;
  if (sizes_[0].us == 0 && sizes_[1].us == 0 && sizes_[2].us == 0) return std::max(tenants, kFirstSharedRows);
  const double most = step_us(1) * (1 + (limits::kShareStepTimes - 1) * (tenants - 1));
  int rows = tenants;
  while (rows < limits::kSequences && step_us(rows + 1) <= most) ++rows;
  return rows;
}

}  // namespace verge::worker
