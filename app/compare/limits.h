#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/compare/comparison.h"

namespace cogvx::app {

// How far a TEST may be from REF. Each limit is one of the worst frame.
struct Limits {
  bool exact = false;
  std::optional<double> min_psnr{};  // decibels
  std::optional<double> min_ssim{};
  std::optional<double> max_abs{};
  std::optional<double> min_cosine{};

  bool any() const { return exact || min_psnr || min_ssim || max_abs || min_cosine; }
};

struct LimitCheck {
  std::string limit;  // "--min-psnr"
  double wanted = 0;  // not of --exact
  double found = 0;
  int64_t frame = -1;  // the worst one
  bool met = false;
  std::string text{};  // "--min-psnr 40: frame 7 has 38.20"
};

// Without limits, whatever is not the same does not pass.
struct Judgement {
  bool passed = false;
  std::vector<LimitCheck> checks{};
};

// Throws UsageError for a value that no comparison could have.
void check_values(const Limits& limits);
// Throws UsageError naming a limit that what REF holds does not have.
void check_applicable(const Limits& limits, Kind kind, const std::string& reference);
Judgement judge(const Limits& limits, const Comparison& comparison);

}  // namespace cogvx::app
