#pragma once

#include <filesystem>

#include "io/frames.h"
#include "io/temporary.h"

namespace cogvx::io {

// PNG frames 000000.png, 000001.png, ... that appear in their folder only when all are complete.
// They grow in a `Temporary` beside the target, or inside a target that has to stay as it is
// because it holds files, is a mount point or somebody else's, or stands where we may not write.
class FramesFolder {
 public:
  // Makes missing parent folders. OutputError; UsageError for a target that is no folder.
  explicit FramesFolder(const std::filesystem::path& target);

  // All frames of the video. OutputError; UsageError for no frames and for a size below 1x1.
  void write(const FramesView& frames, const FrameProgress& progress = {});
  // Gives the folder its name, in one step where the target is missing or empty. Else moves each
  // frame over the one of its name and removes frames (`NNNNNN.png`) beyond the last; other files
  // stay. Once, after `write`. OutputError.
  void commit();

 private:
  void move_frames();
  void remove_later_frames() const;

  std::filesystem::path shown_;  // as the caller wrote it, for messages
  std::filesystem::path target_;
  bool stays_;  // the target is filled, not replaced
  Temporary temporary_;
  int count_ = 0;
};

// To be asked before hours of work. UsageError where `path` exists and is no folder, or holds files
// and `overwrite` is false; OutputError where the folder cannot be made or written.
void check_frames_folder(const std::filesystem::path& path, bool overwrite);

std::filesystem::path frame_path(const std::filesystem::path& folder, int index);
// How many frames a folder holds. DataError for none, for a gap between them, and for a folder that
// cannot be read.
int count_frame_files(const std::filesystem::path& folder);

}  // namespace cogvx::io
