#include "app/compare/limits.h"

#include <array>
#include <limits>

#include "app/compare/number_text.h"
#include "app/compare/worst.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

constexpr double kNoEnd = std::numeric_limits<double>::infinity();

struct Found {
  double value = 0;
  int64_t frame = -1;
};

Found worst_psnr(const Comparison& comparison) {
  const int64_t frame = comparison.video->worst_psnr_frame();
  return {psnr_of(comparison.video->frames[static_cast<size_t>(frame)].mse), frame};
}

Found worst_ssim(const Comparison& comparison) {
  const int64_t frame = comparison.video->worst_ssim_frame();
  return {comparison.video->frames[static_cast<size_t>(frame)].ssim, frame};
}

Found worst_cosine(const Comparison& comparison) {
  const int64_t frame = comparison.tensors->worst_cosine_frame();
  return {comparison.tensors->frames[static_cast<size_t>(frame)].cosine, frame};
}

Found largest_abs(const Comparison& comparison) {
  const auto find = [](const auto& frames) -> Found {
    const int64_t frame =
        worst_of(frames, [](const auto& a, const auto& b) { return a.max_abs > b.max_abs; });
    return {static_cast<double>(frames[static_cast<size_t>(frame)].max_abs), frame};
  };
  return comparison.video ? find(comparison.video->frames) : find(comparison.tensors->frames);
}

struct LimitSpec {
  const char* name;
  std::optional<double> Limits::*value;
  double least;  // that makes sense
  double most;
  bool of_frames;
  bool of_latents;
  bool is_minimum;
  Found (*find)(const Comparison&);
};

constexpr std::array kSpecs = {
    LimitSpec{"--min-psnr", &Limits::min_psnr, 0, kNoEnd, true, false, true, worst_psnr},
    LimitSpec{"--min-ssim", &Limits::min_ssim, -1, 1, true, false, true, worst_ssim},
    LimitSpec{"--max-abs", &Limits::max_abs, 0, kNoEnd, true, true, false, largest_abs},
    LimitSpec{"--min-cosine", &Limits::min_cosine, -1, 1, false, true, true, worst_cosine}};

bool applies_to(const LimitSpec& spec, Kind kind) {
  if (kind == Kind::kFrames) return spec.of_frames;
  return (kind == Kind::kLatents || kind == Kind::kState) && spec.of_latents;
}

std::string kinds_text(const LimitSpec& spec) {
  if (!spec.of_latents) return kind_name(Kind::kFrames);
  const std::string latents = "latents and states";
  return spec.of_frames ? std::string(kind_name(Kind::kFrames)) + ", " + latents : latents;
}

LimitCheck check_of(const LimitSpec& spec, double wanted, const Comparison& comparison) {
  const Found found = spec.find(comparison);
  const bool met = spec.is_minimum ? found.value >= wanted : found.value <= wanted;
  return {.limit = spec.name,
          .wanted = wanted,
          .found = found.value,
          .frame = found.frame,
          .met = met,
          .text = std::string(spec.name) + " " + number_text("%.10g", wanted) +
                  (comparison.video ? ": frame " : ": latent frame ") +
                  std::to_string(found.frame) + " has " + number_text("%.10g", found.value)};
}

}  // namespace

void check_values(const Limits& limits) {
  for (const LimitSpec& spec : kSpecs) {
    const std::optional<double> value = limits.*spec.value;
    if (!value || (*value >= spec.least && *value <= spec.most)) continue;
    const std::string least = number_text("%g", spec.least);
    throw UsageError(
        std::string(spec.name) + " is " + number_text("%g", *value) + ", wanted " +
        (spec.most == kNoEnd ? least + " or more" : least + " to " + number_text("%g", spec.most)));
  }
}

void check_applicable(const Limits& limits, Kind kind, const std::string& reference) {
  for (const LimitSpec& spec : kSpecs) {
    if (!(limits.*spec.value) || applies_to(spec, kind)) continue;
    throw UsageError(std::string(spec.name) + " is given, but " + reference + " holds " +
                     kind_name(kind) + "; it is a limit for " + kinds_text(spec));
  }
}

Judgement judge(const Limits& limits, const Comparison& comparison) {
  if (!limits.any()) return {.passed = comparison.same};
  Judgement judgement{.passed = true};
  if (limits.exact) {
    judgement.checks.push_back({.limit = "--exact",
                                .found = static_cast<double>(comparison.identical),
                                .met = comparison.same,
                                .text = "--exact: " + std::to_string(comparison.identical) +
                                        " of " + std::to_string(comparison.total) + " " +
                                        pieces_name(comparison.kind) + " are identical"});
  }
  for (const LimitSpec& spec : kSpecs) {
    if (limits.*spec.value)
      judgement.checks.push_back(check_of(spec, *(limits.*spec.value), comparison));
  }
  for (const LimitCheck& check : judgement.checks) judgement.passed &= check.met;
  return judgement;
}

}  // namespace cogvx::app
