#include "tests/app/compare_test_support.h"

#include <sstream>

#include "tests/io/io_test_support.h"
#include "tests/io/media_goldens.h"

namespace cogvx::test {

ProgramResult compare(const std::vector<std::string>& arguments) {
  return run_cogvx_gen({.arguments = arguments, .program = "cogvx-compare"});
}

nlohmann::json compare_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const ProgramResult result = compare(arguments);
  EXPECT_LE(result.exit_code, 1) << result.err;
  return nlohmann::json::parse(result.out);
}

void CompareTest::make(const std::string& stem, const std::vector<std::string>& more) const {
  std::vector<std::string> arguments = {"--model",
                                        demo_model(),
                                        "-p",
                                        kDemoPrompt,
                                        "--threads",
                                        "1",
                                        "--steps",
                                        "2",
                                        "--codec",
                                        "ffv1",
                                        "-o",
                                        path(stem + ".mkv"),
                                        "--save-latents",
                                        path(stem + ".safetensors"),
                                        "--trace",
                                        path(stem + ".trace"),
                                        "--frames-dir",
                                        path(stem)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const ProgramResult result = run_cogvx_gen(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
}

std::string CompareTest::video(const std::string& name, const io::Frames& frames) const {
  io::test::write_lossless(path(name), frames);
  return path(name);
}

io::Frames noise_frames(io::FrameSize size, int count, uint32_t seed) {
  io::Frames frames{.count = count, .size = size};
  for (int i = 0; i < count; ++i) {
    const io::Image image = io::test::noise(size, seed + static_cast<uint32_t>(i));
    frames.pixels.insert(frames.pixels.end(), image.pixels.begin(), image.pixels.end());
  }
  return frames;
}

void add_to(io::Frames& frames, const BytePlace& place, int value) {
  const size_t pixel = static_cast<size_t>(place.row) * frames.size.width + place.column;
  uint8_t& byte = frames.pixels[place.frame * frames.size.bytes() + 3 * pixel +
                                static_cast<size_t>(place.colour)];
  byte = static_cast<uint8_t>(byte + value);
}

std::vector<std::map<std::string, std::string>> read_csv(const std::string& path) {
  std::istringstream file(read_file(path));
  const auto cells = [](const std::string& line) {
    std::vector<std::string> parts;
    std::istringstream stream(line);
    for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
    return parts;
  };
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> names = cells(line);
  std::vector<std::map<std::string, std::string>> rows;
  while (std::getline(file, line)) {
    const std::vector<std::string> values = cells(line);
    EXPECT_EQ(values.size(), names.size()) << line;
    auto& row = rows.emplace_back();
    for (size_t i = 0; i < std::min(names.size(), values.size()); ++i) row[names[i]] = values[i];
  }
  return rows;
}

}  // namespace cogvx::test
