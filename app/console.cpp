#include "app/console.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/position_text.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

constexpr std::chrono::milliseconds kEventInterval{100};
constexpr std::chrono::seconds kPlainInterval{2};
constexpr int kBarWidth = 24;

std::string seconds_text(double seconds) {
  char text[32];
  if (seconds < 10) {
    std::snprintf(text, sizeof text, "%.2f s", seconds);
  } else if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  } else {
    std::snprintf(text, sizeof text, "%d:%02d min", static_cast<int>(seconds) / 60,
                  static_cast<int>(seconds) % 60);
  }
  return text;
}

spdlog::sink_ptr file_sink(const std::string& path, const std::string& option) {
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(path, /*truncate=*/false);
  } catch (const spdlog::spdlog_ex& error) {
    throw OutputError(option + ": cannot be written: " + error.what());
  }
}

}  // namespace

Console::Console(const Options& options, Voice voice, const std::string& rank_log)
    : stage_start_(Clock::now()), last_shown_(stage_start_) {
  const bool errors_only = voice == Voice::kErrorsOnly;
  std::vector<spdlog::sink_ptr> sinks = {std::make_shared<spdlog::sinks::stderr_color_sink_mt>()};
  sinks[0]->set_pattern("cogvx-gen: %^%l%$: %v");
  if (errors_only) sinks[0]->set_level(spdlog::level::err);
  if (!options.log_file.empty() && voice == Voice::kFull)
    sinks.push_back(file_sink(options.log_file, "--log-file " + options.log_file));
  if (!rank_log.empty()) sinks.push_back(file_sink(rank_log, "--log-dir: " + rank_log));
  logger_ = std::make_shared<spdlog::logger>("cogvx", sinks.begin(), sinks.end());
  logger_->set_level(options.quiet     ? spdlog::level::warn
                     : options.verbose ? spdlog::level::debug
                                       : spdlog::level::info);
  logger_->flush_on(spdlog::level::info);

  const bool terminal = isatty(STDERR_FILENO) == 1;
  const std::string& style = options.progress;
  style_ = options.quiet || style == "none" ? Style::kNone
           : errors_only                    ? (rank_log.empty() ? Style::kNone : Style::kPlain)
           : style == "json"                ? Style::kJson
           : style == "bar"                 ? Style::kBar
           : style == "plain"               ? Style::kPlain
                                            : (terminal ? Style::kBar : Style::kPlain);
}

void Console::info(const std::string& text) {
  end_line();
  logger_->info(prefix_ + text);
}

void Console::warn(const std::string& text) {
  end_line();
  logger_->warn(prefix_ + text);
}

void Console::warn_once(const std::string& text) {
  if (said_.insert(text).second) warn(text);
}

void Console::begin_video(int64_t number, int64_t videos) {
  video_ = number;
  videos_ = videos;
  prefix_ = number == 0 ? "" : "[" + std::to_string(number) + "/" + std::to_string(videos) + "] ";
  started_ = false;
}

void Console::error(const std::string& text) {
  end_line();
  logger_->error(text);
}

void Console::end_line() {
  if (bar_open_) std::fputc('\n', stderr);
  bar_open_ = false;
}

// "denoise: step 12/50, 34 %, 1.20 s/step, 46 s left"
std::string Console::describe(const Progress& now) const {
  const double done = static_cast<double>(now.done) + now.part;
  const double since = std::chrono::duration<double>(Clock::now() - stage_start_).count();
  const double worked = done - static_cast<double>(first_done_);
  std::string text =
      std::string(stage_name(now.stage)) + ": " + piece_name(now.stage) + " " +
      std::to_string(std::min(now.done + (now.done < now.total ? 1 : 0), now.total)) + "/" +
      std::to_string(now.total) + ", " +
      std::to_string(
          static_cast<int>(100 * done / static_cast<double>(std::max<int64_t>(now.total, 1)))) +
      " %";
  if (worked <= 0) return text;
  const double pace = since / worked;
  text += ", " + seconds_text(pace) + "/" + piece_name(now.stage);
  if (now.done < now.total)
    return text + ", " + seconds_text(pace * (static_cast<double>(now.total) - done)) + " left";
  return text + ", " + seconds_text(since) + " in all";
}

void Console::draw_bar(const Progress& now, const std::string& text) {
  const double share = (static_cast<double>(now.done) + now.part) /
                       static_cast<double>(std::max<int64_t>(now.total, 1));
  const int filled = static_cast<int>(share * kBarWidth);
  std::string bar(static_cast<size_t>(filled), '#');
  bar.resize(kBarWidth, '.');
  std::fprintf(stderr, "\r[%s] %s\x1b[K", bar.c_str(), text.c_str());
  std::fflush(stderr);
  bar_open_ = true;
  if (now.done == now.total) end_line();
}

void Console::progress(const Progress& now) {
  if (style_ == Style::kNone) return;
  const Clock::time_point time = Clock::now();
  if (!started_ || now.stage != stage_ || now.done < last_done_) {
    end_line();
    started_ = true;
    stage_ = now.stage;
    stage_start_ = last_shown_ = time;
    first_done_ = now.done;
    last_done_ = -1;
  }
  const bool finished = now.done == now.total && last_done_ != now.total;
  // A program that reads along gets every piece, and the parts of a piece from time to time.
  const bool next_piece = style_ == Style::kJson && now.done != last_done_;
  const auto interval = style_ == Style::kPlain
                            ? std::chrono::steady_clock::duration(kPlainInterval)
                            : kEventInterval;
  last_done_ = now.done;
  if (!next_piece && !finished && (time - last_shown_ < interval || now.done == now.total)) return;
  last_shown_ = time;
  if (style_ == Style::kBar) {
    draw_bar(now, prefix_ + describe(now));
  } else if (style_ == Style::kPlain) {
    logger_->info(prefix_ + describe(now));
  } else {
    nlohmann::json event = {{"stage", stage_name(now.stage)},
                            {"done", now.done},
                            {"total", now.total},
                            {"part", now.part}};
    if (video_ > 0) event.update({{"item", video_}, {"items", videos_}});
    std::fprintf(stderr, "%s\n", event.dump().c_str());
  }
}

}  // namespace cogvx::app
