#include "app/batch_report.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/json_text.h"
#include "app/standard_streams.h"
#include "core/weights/config.h"

namespace cogvx::app {
namespace {

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", seconds);
  return text;
}

}  // namespace

BatchReport::BatchReport(const std::vector<Item>& items, bool json, Console& console, bool speaks)
    : json_(json), console_(console), speaks_(speaks) {
  for (const Item& item : items) {
    rows_.push_back({.index = item.index,
                     .output = item.plan.output.video,
                     .seed = std::to_string(item.plan.request.seed)});
  }
}

void BatchReport::begin(size_t item) {
  now_ = item;
  console_.begin_video(static_cast<int64_t>(item) + 1, std::ssize(rows_));
}

void BatchReport::print(const std::string& line, const std::string& output) const {
  if (!speaks_) return;
  std::cout << line << "\n";
  finish_standard_output("the video is in " + output);
}

void BatchReport::skip(const Item& item) {
  Row& row = rows_[now_];
  row.verdict = "there already";
  console_.info(row.output + " is there already");
  if (!json_) return print(row.output, row.output);
  nlohmann::json result = read_json_object(item.plan.output.sidecar);
  result.update({{"index", row.index}, {"skipped", true}});
  print(json_text(result), row.output);
}

void BatchReport::made(double seconds) {
  rows_[now_].verdict = "made";
  rows_[now_].seconds = seconds;
}

void BatchReport::failed(const Item& item, const ItemFailed& failure) {
  Row& row = rows_[now_];
  row.verdict = "failed";
  if (!speaks_) return;
  console_.error(item.label + ": video " + std::to_string(row.index) + ", " + row.output + ": " +
                 one_line(failure.what()));
  if (!json_) return;
  std::cout << json_text({{"index", row.index},
                          {"output", row.output},
                          {"error", failure.what()},
                          {"exit_code", failure.code}})
            << "\n";
  finish_standard_output("a video failed");
}

int64_t BatchReport::count(const std::string& verdict) const {
  return std::count_if(rows_.begin(), rows_.end(),
                       [&](const Row& row) { return row.verdict == verdict; });
}

std::string BatchReport::way_on() const {
  return "; " + std::to_string(count("made") + count("there already")) + " of " +
         std::to_string(rows_.size()) +
         " videos are there; the same command with --resume-batch makes the others";
}

void BatchReport::print_summary(const Loads& loads) const {
  console_.begin_video(0, 0);
  const auto print_row = [&](const Row& row, const std::string& index, const std::string& seconds) {
    std::string line = index;
    const auto column = [&](size_t end, const std::string& text) {
      line.resize(std::max(line.size() + 2, end), ' ');
      line += text;
    };
    column(7, row.seed);
    column(19, seconds);
    column(28, row.verdict);
    column(43, row.output);
    console_.info(line);
  };
  print_row({.output = "output", .seed = "seed", .verdict = "verdict"}, "index", "seconds");
  for (const Row& row : rows_) {
    print_row(row, std::to_string(row.index), row.seconds > 0 ? seconds_text(row.seconds) : "-");
  }
  console_.info("made " + std::to_string(count("made")) + ", there already " +
                std::to_string(count("there already")) + ", failed " + std::to_string(failures()) +
                ", not begun " + std::to_string(count("not begun")) + " of " +
                std::to_string(rows_.size()));
  console_.info("loaded: " + loads_to_json(loads).dump());
}

}  // namespace cogvx::app
