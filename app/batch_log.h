#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "app/console.h"
#include "app/item.h"
#include "app/session.h"

namespace cogvx::app {

// What is said of a batch while it is made and at its end; nothing of a run of one video.
class BatchLog {
 public:
  // All must outlive it. Only one process of a run speaks.
  BatchLog(const Options& options, const std::vector<Item>& items, Console& console, bool speaks);

  void begin(const Item& item);
  void end(const std::string& sha256_frames);
  void fail(const ItemFailed& failed);
  bool ends_at_failure() const { return options_.fail_fast; }
  // For the message of a run that is stopped.
  std::string way_on() const;
  // The table, with a line for each video. Throws BatchFailed.
  void finish();

 private:
  struct Row {
    int64_t index = 0;
    std::string label;
    std::string video;
    uint64_t seed = 0;
    std::string verdict;
    double seconds = 0;
  };
  using Clock = std::chrono::steady_clock;

  int64_t count(const char* verdict) const;
  void close(const std::string& verdict);

  const Options& options_;
  Console& console_;
  bool speaks_;
  std::vector<Row> rows_;  // in the order of the items
  Row* current_ = nullptr;
  Clock::time_point start_;
};

}  // namespace cogvx::app
