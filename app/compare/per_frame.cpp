#include "app/compare/per_frame.h"

#include "app/compare/number_text.h"

namespace cogvx::app {
namespace {

// In quotes where it holds what would end it.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char letter : text)
    quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + "\"";
}

// Enough digits to get the double back.
std::string exact(double value) { return number_text("%.17g", value); }

std::string cells(const FrameDistance& frame) {
  return exact(psnr_of(frame.mse)) + "," + exact(frame.ssim) + "," + std::to_string(frame.max_abs) +
         "," + exact(frame.mean_abs);
}

std::string cells(const LatentFrameDistance& frame) {
  return exact(frame.relative_l2) + "," + exact(frame.cosine) + "," + exact(frame.max_abs);
}

bool identical(const FrameDistance& frame) { return frame.max_abs == 0; }
bool identical(const LatentFrameDistance& frame) { return frame.identical; }

template <typename Frame>
void add_rows(const std::string& test, const std::vector<Frame>& frames, std::string& csv) {
  for (size_t i = 0; i < frames.size(); ++i) {
    csv += field(test) + "," + std::to_string(i) + "," + (identical(frames[i]) ? "1" : "0") + "," +
           cells(frames[i]) + "\n";
  }
}

}  // namespace

std::string per_frame_csv(const std::vector<Result>& results) {
  const bool of_frames = !results.empty() && results.front().comparison.video.has_value();
  std::string csv = of_frames ? "test,frame,identical,psnr,ssim,max_abs,mean_abs\n"
                              : "test,frame,identical,relative_l2,cosine,max_abs\n";
  for (const Result& result : results) {
    if (result.comparison.video) add_rows(result.test, result.comparison.video->frames, csv);
    if (result.comparison.tensors) add_rows(result.test, result.comparison.tensors->frames, csv);
  }
  return csv;
}

}  // namespace cogvx::app
