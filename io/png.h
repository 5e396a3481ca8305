#pragma once

#include <filesystem>

#include "io/frames.h"

namespace cogvx::io {

// 8-bit RGB, any size; the same pixels give the same bytes. Replaces `path` in one step.
// OutputError.
void write_png(const std::filesystem::path& path, ImageView image);

// A `FramesFolder` written and committed in one call; throws as that does.
void write_png_frames(const std::filesystem::path& folder, const FramesView& frames,
                      const FrameProgress& progress = {});

// As `read_image` reads it, without its notices. DataError.
Image read_png(const std::filesystem::path& path);

}  // namespace cogvx::io
