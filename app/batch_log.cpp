#include "app/batch_log.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/exit_code.h"
#include "app/json_text.h"
#include "app/standard_streams.h"

namespace cogvx::app {
namespace {

constexpr char kMade[] = "made", kFailed[] = "FAILED", kThere[] = "there already",
               kLeft[] = "not begun";

}  // namespace

BatchLog::BatchLog(const Options& options, const std::vector<Item>& items, Console& console,
                   bool speaks)
    : options_(options), console_(console), speaks_(speaks) {
  for (const Item& item : items) {
    if (!item.in_batch()) continue;
    rows_.push_back({.index = item.index,
                     .label = item.label,
                     .video = item.plan.output.video,
                     .seed = item.plan.request.seed,
                     .verdict = item.is_done ? kThere : kLeft});
  }
  if (const int64_t there = count(kThere); speaks_ && there > 0) {
    console_.info(std::to_string(there) + " of " + std::to_string(rows_.size()) +
                  " videos are there already");
  }
}

int64_t BatchLog::count(const char* verdict) const {
  return std::count_if(rows_.begin(), rows_.end(),
                       [&](const Row& row) { return row.verdict.starts_with(verdict); });
}

void BatchLog::begin(const Item& item) {
  const auto row =
      std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.index == item.index; });
  if (row == rows_.end()) return;
  current_ = &*row;
  start_ = Clock::now();
  console_.begin_video(row - rows_.begin() + 1, std::ssize(rows_));
  if (speaks_) console_.info(row->video);
}

void BatchLog::close(const std::string& verdict) {
  if (current_ == nullptr) return;
  current_->verdict = verdict;
  current_->seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  current_ = nullptr;
  console_.begin_video(0, 0);
}

void BatchLog::end(const std::string& sha256_frames) {
  close(std::string(kMade) + ", frames " + sha256_frames.substr(0, 12));
}

void BatchLog::fail(const ItemFailed& failed) {
  const Row& row = *current_;
  close(kFailed);
  if (!speaks_) return;
  console_.error(row.label + ": " + row.video + ": " + one_line(failed.what()));
  if (!options_.json) return;
  std::cout << json_text({{"index", row.index},
                          {"output", row.video},
                          {"error", failed.what()},
                          {"exit_code", failed.code}})
            << "\n";
  finish_standard_output("the failure of " + row.video + " is not in it");
}

std::string BatchLog::way_on() const {
  if (rows_.empty()) return "";
  return "; " + std::to_string(count(kMade) + count(kThere)) + " of " +
         std::to_string(rows_.size()) + " videos are made, go on with --resume-batch";
}

void BatchLog::finish() {
  if (rows_.empty()) return;
  const int64_t failures = count(kFailed);
  if (speaks_) {
    console_.info("item        seed      seconds  output");
    for (const Row& row : rows_) {
      char numbers[80];
      std::snprintf(numbers, sizeof numbers, "%4ld  %10lu  %11.1f  ", row.index, row.seed,
                    row.seconds);
      console_.info(numbers + one_line(row.video) + ": " + row.verdict);
    }
    console_.info(std::to_string(count(kMade)) + " made, " + std::to_string(count(kThere)) +
                  " there already, " + std::to_string(failures) + " failed, " +
                  std::to_string(count(kLeft)) + " not begun");
  }
  if (failures == 0) return;
  throw BatchFailed(std::to_string(failures) + " of " + std::to_string(rows_.size()) +
                    " videos could not be made; see above, mend their lines, and pass "
                    "--resume-batch to make what is missing");
}

}  // namespace cogvx::app
