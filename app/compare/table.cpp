#include <algorithm>
#include <cstdint>

#include "app/compare/number_text.h"
#include "app/compare/report.h"
#include "app/standard_streams.h"

namespace cogvx::app {
namespace {

using Row = std::vector<std::string>;

std::string worst_text(const char* format, double value, int64_t frame, bool alike) {
  return number_text(format, value) + (alike ? "" : "@" + std::to_string(frame));
}

Row head_of(Kind kind) {
  if (kind == Kind::kFrames)
    return {"PSNR dB", "worst@frame", "SSIM", "worst@frame", "mean abs", "max abs"};
  if (kind == Kind::kLatents || kind == Kind::kState)
    return {"relative L2", "worst@frame", "cosine", "worst@frame", "max abs"};
  return {};
}

Row cells_of(const VideoDistance& video) {
  const int64_t psnr = video.worst_psnr_frame(), ssim = video.worst_ssim_frame();
  const bool alike = video.mean_mse() == 0;
  return {number_text("%.2f", psnr_of(video.mean_mse())),
          worst_text("%.2f", psnr_of(video.frames[static_cast<size_t>(psnr)].mse), psnr, alike),
          number_text("%.6f", video.mean_ssim()),
          worst_text("%.6f", video.frames[static_cast<size_t>(ssim)].ssim, ssim, alike),
          number_text("%.4g", video.mean_abs()),
          std::to_string(video.max_abs())};
}

Row cells_of(const TensorDistance& tensors) {
  const int64_t l2 = tensors.worst_l2_frame(), cosine = tensors.worst_cosine_frame();
  const bool alike = tensors.max_abs() == 0;
  return {number_text("%.3e", tensors.mean_relative_l2()),
          worst_text("%.3e", tensors.frames[static_cast<size_t>(l2)].relative_l2, l2, alike),
          number_text("%.9f", tensors.mean_cosine()),
          worst_text("%.9f", tensors.frames[static_cast<size_t>(cosine)].cosine, cosine, alike),
          number_text("%.4g", tensors.max_abs())};
}

Row row_of(const Result& result) {
  const Comparison& comparison = result.comparison;
  Row row = {one_line(result.test),
             std::to_string(comparison.identical) + " of " + std::to_string(comparison.total)};
  Row numbers;
  if (comparison.video) numbers = cells_of(*comparison.video);
  if (comparison.tensors) numbers = cells_of(*comparison.tensors);
  row.insert(row.end(), numbers.begin(), numbers.end());
  row.emplace_back(verdict_of(result));
  return row;
}

// Places on a terminal: UTF-8's later bytes take none.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Names and verdicts to the left, numbers to the right.
std::string aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const Row& row : rows) {
    text += row.front() + std::string(widths[0] - width_of(row.front()), ' ');
    for (size_t i = 1; i + 1 < row.size(); ++i)
      text += "  " + std::string(widths[i] - width_of(row[i]), ' ') + row[i];
    text += "  " + row.back() + "\n";
  }
  return text;
}

const char* legend_of(Kind kind) {
  switch (kind) {
    case Kind::kFrames:
      return "PSNR: of the mean squared error over all frames; worst@frame: of that frame alone; "
             "abs: of a byte\n";
    case Kind::kLatents:
    case Kind::kState:
      return "relative L2 and cosine: mean over the latent frames; worst@frame: of that one "
             "alone\n";
    default:
      return "";
  }
}

}  // namespace

std::string report_table(const std::vector<Result>& results) {
  const Kind kind = results.front().comparison.kind;
  Row head = {"test", std::string(pieces_name(kind)) + " identical"};
  const Row numbers = head_of(kind);
  head.insert(head.end(), numbers.begin(), numbers.end());
  head.emplace_back("verdict");
  std::vector<Row> rows = {head};
  for (const Result& result : results) rows.push_back(row_of(result));
  return aligned(rows) + legend_of(kind);
}

}  // namespace cogvx::app
