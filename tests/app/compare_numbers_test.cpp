#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <regex>

#include "tests/app/compare_test_support.h"
#include "tests/io/io_test_support.h"

// The numbers of frames, against ffmpeg's PSNR and against scikit-image's SSIM
// (tests/goldens/compare.json, which scripts/goldens/compare_cases.py writes).
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const json& clips() {
  static const json goldens = [] {
    std::ifstream file(source_dir() / "tests/goldens/compare.json");
    return json::parse(file).at("clips");
  }();
  return goldens;
}

class CompareNumbers : public CompareTest {
 protected:
  struct Pair {
    std::string reference;
    std::string test;
  };
  // The two clips of a golden, as files without loss.
  Pair make_pair(const json& clip) const;
  std::vector<std::map<std::string, std::string>> frames_of(const Pair& pair) const {
    const std::string csv = path("frames.csv");
    const ProgramResult result =
        compare({pair.reference, pair.test, "--per-frame", csv, "--overwrite"});
    EXPECT_LE(result.exit_code, 1) << result.err;
    return read_csv(csv);
  }
};

io::Frames moved(const io::Frames& frames, const json& moves) {
  const io::Frames noise = noise_frames(frames.size, frames.count, moves.at("seed"));
  io::Frames result = frames;
  for (size_t i = 0; i < frames.pixels.size(); ++i) {
    const int strength = moves.at("strengths").at(i / frames.size.bytes());
    const int value = frames.pixels[i] + noise.pixels[i] % (2 * strength + 1) - strength;
    result.pixels[i] = static_cast<uint8_t>(std::clamp(value, 0, 255));
  }
  return result;
}

CompareNumbers::Pair CompareNumbers::make_pair(const json& clip) const {
  if (clip.contains("folders")) {
    const fs::path goldens = source_dir() / "tests/goldens/compare";
    return {goldens / clip["folders"][0], goldens / clip["folders"][1]};
  }
  const io::FrameSize size{clip["size"][0], clip["size"][1]};
  const int count = clip["frames"];
  io::Frames reference, test;
  if (clip.contains("flat")) {
    reference = test = {.count = count, .size = size};
    reference.pixels.assign(count * size.bytes(), clip["flat"][0]);
    test.pixels.assign(count * size.bytes(), clip["flat"][1]);
  } else {
    reference = test = noise_frames(size, count, clip["seed"]);
  }
  if (clip.contains("moves")) test = moved(reference, clip["moves"]);
  if (clip.contains("flipped_bit")) {
    const json& at = clip["flipped_bit"];
    const BytePlace place{at["frame"], at["row"], at["column"], at["colour"]};
    const size_t pixel = static_cast<size_t>(place.row) * size.width + place.column;
    const uint8_t byte = reference.pixels[place.frame * size.bytes() + 3 * pixel + place.colour];
    add_to(test, place, (byte & 1) != 0 ? -1 : 1);
  }
  return {video("reference.mkv", reference), video("test.mkv", test)};
}

double psnr_of_mse(double mse) { return mse == 0 ? kInfinity : 10 * std::log10(65025 / mse); }

TEST_F(CompareNumbers, EveryFramesSsimIsThatOfScikitImageAndItsErrorsThoseOfNumpy) {
  ASSERT_EQ(clips().size(), 6U);
  for (const json& clip : clips()) {
    const auto rows = frames_of(make_pair(clip));
    ASSERT_EQ(rows.size(), clip["expected"].size()) << clip["name"];
    for (size_t i = 0; i < rows.size(); ++i) {
      const json& expected = clip["expected"][i];
      const std::string label = clip["name"].get<std::string>() + ", frame " + std::to_string(i);
      EXPECT_NEAR(std::stod(rows[i].at("ssim")), expected["ssim"].get<double>(), 1e-9) << label;
      EXPECT_DOUBLE_EQ(std::stod(rows[i].at("psnr")), psnr_of_mse(expected["mse"])) << label;
      EXPECT_DOUBLE_EQ(std::stod(rows[i].at("mean_abs")), expected["mean_abs"].get<double>())
          << label;
      EXPECT_EQ(std::stoi(rows[i].at("max_abs")), expected["max_abs"].get<int>()) << label;
      EXPECT_EQ(rows[i].at("identical"), expected["mse"] == 0.0 ? "1" : "0") << label;
    }
  }
}

// Index of the first of the largest.
int64_t first_largest(const std::vector<double>& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

TEST_F(CompareNumbers, AVideosNumbersAreOfAllItsFramesAndTheWorstIsTheFirstWorstFrame) {
  for (const json& clip : clips()) {
    std::vector<double> mse, ssim;
    for (const json& frame : clip["expected"]) {
      mse.push_back(frame["mse"]);
      ssim.push_back(frame["ssim"]);
    }
    const auto mean = [](const std::vector<double>& values) {
      double sum = 0;
      for (const double value : values) sum += value;
      return sum / static_cast<double>(values.size());
    };
    std::vector<double> unlike = ssim;
    for (double& value : unlike) value = -value;
    const Pair pair = make_pair(clip);
    const json found = compare_json({pair.reference, pair.test});
    if (mean(mse) == 0) {
      EXPECT_EQ(found["psnr"], (json{{"mean", "inf"}, {"worst", "inf"}, {"worst_frame", nullptr}}));
      EXPECT_EQ(found["ssim"], (json{{"mean", 1.0}, {"worst", 1.0}, {"worst_frame", nullptr}}));
      continue;
    }
    EXPECT_DOUBLE_EQ(found["psnr"]["mean"], psnr_of_mse(mean(mse))) << clip["name"];
    EXPECT_EQ(found["psnr"]["worst_frame"], first_largest(mse)) << clip["name"];
    EXPECT_NEAR(found["ssim"]["mean"], mean(ssim), 1e-9) << clip["name"];
    EXPECT_EQ(found["ssim"]["worst_frame"], first_largest(unlike)) << clip["name"];
    EXPECT_DOUBLE_EQ(found["psnr"]["worst"], psnr_of_mse(mse[first_largest(mse)])) << clip["name"];
  }
}

std::string ffmpeg_input(const std::string& path) {
  if (!fs::is_directory(path)) return " -i " + io::test::shell(path);
  return " -framerate 8 -i " + io::test::shell(fs::path(path) / "%06d.png");
}

// What stands behind the word, each time, "inf" as infinity.
std::vector<double> numbers_after(const std::string& text, const std::string& word) {
  const std::regex pattern(word + "(inf|[0-9.]+)");
  std::vector<double> numbers;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match)
    numbers.push_back((*match)[1] == "inf" ? kInfinity : std::stod((*match)[1]));
  return numbers;
}

void expect_near(double found, double wanted, const std::string& label) {
  if (std::isinf(wanted)) {
    EXPECT_EQ(found, wanted) << label;
  } else {
    EXPECT_NEAR(found, wanted, 1e-5) << label;
  }
}

TEST_F(CompareNumbers, PsnrIsThatOfFfmpegsFilterOnTheSamePlanes) {
  if (!io::test::has_program("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
  for (const json& clip : clips()) {
    const Pair pair = make_pair(clip);
    const std::string said = io::test::output_of(
        "ffmpeg -hide_banner -nostats" + ffmpeg_input(pair.test) + ffmpeg_input(pair.reference) +
        " -lavfi '[0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr,metadata=print:file=-'"
        " -f null - 2>&1");
    const std::vector<double> wanted = numbers_after(said, "psnr_avg=");
    const auto rows = frames_of(pair);
    ASSERT_EQ(rows.size(), wanted.size()) << said;
    for (size_t i = 0; i < rows.size(); ++i) {
      expect_near(std::stod(rows[i].at("psnr")), wanted[i],
                  clip["name"].get<std::string>() + ", frame " + std::to_string(i));
    }
    const std::vector<double> average = numbers_after(said, " average:");
    ASSERT_EQ(average.size(), 1U) << said;
    const json mean = compare_json({pair.reference, pair.test})["psnr"]["mean"];
    expect_near(mean == "inf" ? kInfinity : mean.get<double>(), average[0], clip["name"]);
  }
}

TEST_F(CompareNumbers, TheTextSaysMeanAndWorstFrameAndWhatTheMeanIsOf) {
  io::Frames frames = noise_frames({32, 32}, 4, 5);
  const std::string reference = video("r.mkv", frames);
  add_to(frames, {.frame = 1}, 1);
  add_to(frames, {.frame = 2, .row = 31, .column = 30, .colour = 2}, 3);
  const ProgramResult result = compare({reference, video("t.mkv", frames)});
  EXPECT_EQ(result.exit_code, 1);
  // 10 log10(65025 * 3072 / 9) and, over four frames, 10 log10(65025 * 12288 / 10).
  EXPECT_NE(result.out.find("73.46@2"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("79.03"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find(
                "2 of 4 frames identical; first difference: frame 1, row 0, column 0: red is "),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("PSNR: of the mean squared error over all frames"), std::string::npos);
}

TEST_F(CompareNumbers, TheFirstByteThatDiffersIsNamedByFrameRowColumnAndColour) {
  constexpr const char* kColours[] = {"red", "green", "blue"};
  const io::FrameSize size{40, 24};
  const io::Frames frames = noise_frames(size, 3, 5);
  const std::string reference = video("r.mkv", frames);
  for (const BytePlace place : {BytePlace{2, 17, 31, 2}, {1, 23, 0, 1}, {0, 0, 39, 0}}) {
    io::Frames changed = frames;
    add_to(changed, place, 1);
    add_to(changed, {.frame = 2, .row = 23, .column = 39, .colour = 2}, 1);  // later
    const size_t pixel = static_cast<size_t>(place.row) * size.width + place.column;
    const size_t byte = place.frame * size.bytes() + 3 * pixel + place.colour;
    const json found = compare_json({reference, video("t.mkv", changed)});
    EXPECT_EQ(found["first_difference"],
              "frame " + std::to_string(place.frame) + ", row " + std::to_string(place.row) +
                  ", column " + std::to_string(place.column) + ": " + kColours[place.colour] +
                  " is " + std::to_string(changed.pixels[byte]) + ", wanted " +
                  std::to_string(frames.pixels[byte]));
  }
}

}  // namespace
}  // namespace cogvx::test
