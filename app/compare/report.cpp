#include "app/compare/report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "app/compare/number_text.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

// JSON knows no infinity. A string, which jq sorts behind all numbers.
json number(double value) { return std::isfinite(value) ? json(value) : json("inf"); }

json extremes(double mean, double worst, int64_t frame, bool all_alike) {
  return {{"mean", number(mean)},
          {"worst", number(worst)},
          {"worst_frame", all_alike ? json() : json(frame)}};
}

void add_distances(const VideoDistance& video, json& object) {
  const int64_t psnr = video.worst_psnr_frame(), ssim = video.worst_ssim_frame();
  const bool alike = video.mean_mse() == 0;
  object["psnr"] = extremes(psnr_of(video.mean_mse()),
                            psnr_of(video.frames[static_cast<size_t>(psnr)].mse), psnr, alike);
  object["ssim"] =
      extremes(video.mean_ssim(), video.frames[static_cast<size_t>(ssim)].ssim, ssim, alike);
  object["mean_abs"] = video.mean_abs();
  object["max_abs"] = video.max_abs();
}

void add_distances(const TensorDistance& tensors, json& object) {
  const int64_t l2 = tensors.worst_l2_frame(), cosine = tensors.worst_cosine_frame();
  const bool alike = tensors.max_abs() == 0;
  object["relative_l2"] = extremes(tensors.mean_relative_l2(),
                                   tensors.frames[static_cast<size_t>(l2)].relative_l2, l2, alike);
  object["cosine"] = extremes(tensors.mean_cosine(),
                              tensors.frames[static_cast<size_t>(cosine)].cosine, cosine, alike);
  object["max_abs"] = tensors.max_abs();
}

json checks_to_json(const std::vector<LimitCheck>& checks) {
  json list = json::array();
  for (const LimitCheck& check : checks) {
    list.push_back({{"limit", check.limit},
                    {"wanted", check.frame < 0 ? json() : json(check.wanted)},
                    {"found", number(check.found)},
                    {"frame", check.frame < 0 ? json() : json(check.frame)},
                    {"met", check.met}});
  }
  return list;
}

// For --json.
const char* short_name(Kind kind) {
  switch (kind) {
    case Kind::kFrames:
      return "frames";
    case Kind::kLatents:
      return "latents";
    case Kind::kState:
      return "state";
    case Kind::kTrace:
      return "trace";
    case Kind::kSidecar:
      return "sidecar";
  }
  return "?";
}

}  // namespace

const char* verdict_of(const Result& result) {
  if (result.comparison.same) return "identical";
  return result.judgement.passed ? "within the limits" : "DIFFERENT";
}

std::string summary_of(const Comparison& comparison) {
  const std::string share = std::to_string(comparison.identical) + " of " +
                            std::to_string(comparison.total) + " " + pieces_name(comparison.kind);
  if (comparison.same) {
    return share + (comparison.sha256_test.empty() ? "" : ", sha256 " + comparison.sha256_test);
  }
  return share + " identical" +
         (comparison.first_difference.empty()
              ? ""
              : "; first difference: " + comparison.first_difference);
}

std::vector<std::string> report_lines(const Result& result, const std::string& reference) {
  const Comparison& comparison = result.comparison;
  const std::string verdict = verdict_of(result);
  const char* preposition = comparison.same ? " to " : result.judgement.passed ? " of " : " from ";
  std::vector<std::string> lines = {result.test + ": " + verdict + preposition + reference + ": " +
                                    summary_of(comparison)};
  for (const LimitCheck& check : result.judgement.checks) {
    if (!check.met) lines.push_back("  not met: " + check.text);
  }
  for (const std::string& note : comparison.notes) lines.push_back("  " + note);
  if (comparison.sha256_test != comparison.sha256_reference) {
    lines.push_back("  sha256 " + comparison.sha256_test + ", of the reference " +
                    comparison.sha256_reference);
  }
  return lines;
}

json result_to_json(const Result& result, const std::string& reference) {
  const Comparison& comparison = result.comparison;
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json() : json(text);
  };
  json object = {{"reference", reference},
                 {"test", result.test},
                 {"same", comparison.same},
                 {"passed", result.judgement.passed},
                 {"what", short_name(comparison.kind)},
                 {"identical", comparison.identical},
                 {"total", comparison.total},
                 {"verdict", verdict_of(result) + (": " + summary_of(comparison))},
                 {"first_difference", text_or_null(comparison.first_difference)},
                 {"sha256", text_or_null(comparison.sha256_test)},
                 {"sha256_reference", text_or_null(comparison.sha256_reference)},
                 {"limits", checks_to_json(result.judgement.checks)},
                 {"notes", comparison.notes}};
  if (comparison.video) add_distances(*comparison.video, object);
  if (comparison.tensors) add_distances(*comparison.tensors, object);
  return object;
}

}  // namespace cogvx::app
