#include "app/outputs.h"

#include <unistd.h>

#include <filesystem>

#include "core/base/errors.h"
#include "io/video_writer.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

io::FramesView view_of(const at::Tensor& frames_FYX3) {
  return {.pixels = static_cast<const uint8_t*>(frames_FYX3.const_data_ptr()),
          .count = static_cast<int>(frames_FYX3.size(0)),
          .size = {static_cast<int>(frames_FYX3.size(2)), static_cast<int>(frames_FYX3.size(1))}};
}

}  // namespace

void Outputs::prepare(const at::Tensor& frames_FYX3,
                      const std::map<std::string, std::string>& metadata, const Monitor& monitor) {
  const io::FramesView frames = view_of(frames_FYX3);
  const auto progress = [&](int done, int total) {
    monitor.progress({Stage::kWrite, done, total});
  };
  if (!plan_.frames_dir.empty()) frames_.emplace(plan_.frames_dir).write(frames, progress);
  io::VideoSettings settings = plan_.settings;
  settings.metadata = metadata;
  video_ = io::encode_video(plan_.video, frames, settings, progress);
}

void Outputs::commit(const std::string& sidecar) {
  io::AtomicFile description(plan_.sidecar);
  description.write(sidecar.data(), sidecar.size());
  if (frames_) frames_->commit();
  // A video of another request would pass for the one that the new sidecar beside it describes.
  std::error_code none;
  fs::remove(fs::canonical(plan_.video, none), none);
  description.commit();
  video_->commit();
}

std::string write_latents_somewhere(const OutputPlan& plan, const SavedLatents& saved,
                                    Console& console) {
  try {
    write_latents(plan.latents, saved);
    return plan.latents;
  } catch (const OutputError& error) {
    std::error_code no_folder;
    const fs::path folder = fs::temp_directory_path(no_folder);
    if (no_folder) throw;
    const fs::path name = fs::path(plan.latents).filename();
    const std::string path = folder / ("cogvx-" + std::to_string(::getpid()) + "-" + name.string());
    write_latents(path, saved);
    console.warn(error.what());
    return path;
  }
}

void remove_file(const std::string& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

}  // namespace cogvx::app
