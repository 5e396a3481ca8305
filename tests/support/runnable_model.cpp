#include "tests/support/runnable_model.h"

#include <algorithm>

#include "tests/support/demo_run.h"
#include "tests/support/test_paths.h"
#include "tests/support/tiny_checkpoint.h"

namespace cogvx::test {

void write_runnable_checkpoint(const std::string& recipe, const std::filesystem::path& folder) {
  write_tiny_checkpoint(source_dir() / "tests" / "goldens" / (recipe + ".json"), folder);
  std::filesystem::copy(std::filesystem::path(demo_model()) / "tokenizer", folder / "tokenizer");
}

io::Frames noise_frames(int count, io::FrameSize size, int seed) {
  io::Frames frames{.pixels = {}, .count = count, .size = size};
  const std::vector<float> values =
      golden_values("noise_frames/" + std::to_string(seed),
                    static_cast<size_t>(count) * size.bytes(), /*mean=*/128, /*std=*/50);
  for (const float value : values)
    frames.pixels.push_back(static_cast<uint8_t>(std::clamp(value, 0.0F, 255.0F)));
  return frames;
}

}  // namespace cogvx::test
