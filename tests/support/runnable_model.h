#pragma once

#include <filesystem>
#include <string>

#include "io/frames.h"

namespace cogvx::test {

// The tiny checkpoint of a recipe in tests/goldens, with the demo model's tokenizer, so that it
// takes prompts.
void write_runnable_checkpoint(const std::string& recipe, const std::filesystem::path& folder);

// Noise that differs by frame and seed.
io::Frames noise_frames(int count, io::FrameSize size, int seed);

}  // namespace cogvx::test
