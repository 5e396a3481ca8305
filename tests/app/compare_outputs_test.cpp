#include <sys/stat.h>

#include <fstream>
#include <regex>
#include <set>

#include "io/png.h"
#include "tests/app/compare_test_support.h"
#include "tests/support/broken_files.h"

// --per-frame, --heatmap, --overwrite, --json, --quiet and what is said on standard output.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr io::FrameSize kSize{40, 30};

class CompareOutputs : public CompareTest {
 protected:
  void SetUp() override {
    io::Frames frames = noise_frames(kSize, 4, 5);
    for (uint8_t& byte : frames.pixels) byte /= 2;
    video("r.mkv", frames);
    for (int colour = 0; colour < 3; ++colour)
      add_to(frames, {.frame = 2, .row = 9, .column = 31, .colour = colour}, 100);
    add_to(frames, {.frame = 0, .row = 20, .column = 3}, 30);
    video("t, \"odd\".mkv", frames);
  }
  std::string test() const { return path("t, \"odd\".mkv"); }
};

TEST_F(CompareOutputs, PerFrameHasARowForEachTestAndFrame) {
  const std::string csv = path("frames.csv");
  EXPECT_EQ(compare({path("r.mkv"), test(), path("r.mkv"), "--per-frame", csv}).exit_code, 1);
  const std::string text = read_file(csv);
  EXPECT_TRUE(text.starts_with("test,frame,identical,psnr,ssim,max_abs,mean_abs\n")) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 2 * 4);
  // RFC 4180: quotes around a name with a comma, and doubled inside.
  EXPECT_NE(text.find("\"" + path("t, \"\"odd\"\".mkv") + "\",2,0,"), std::string::npos) << text;
  EXPECT_NE(text.find("\n" + path("r.mkv") + ",3,1,inf,1,0,0\n"), std::string::npos) << text;
}

// The upper left corner of a panel: where its first and last coloured pixels lie is known from the
// video's size, as the picture enlarges it by a whole number.
struct Place {
  int x = 0;
  int y = 0;
};

int brightness(const io::Image& image, Place at) {
  const size_t byte = 3 * (static_cast<size_t>(at.y) * image.size.width + at.x);
  return image.pixels[byte] + image.pixels[byte + 1] + image.pixels[byte + 2];
}

TEST_F(CompareOutputs, TheHeatMapIsHottestWhereTheFramesDifferMost) {
  const std::string file = path("heat.png");
  EXPECT_EQ(compare({path("r.mkv"), test(), "--heatmap", file, "--quiet"}).exit_code, 1);
  const io::Image image = io::read_png(file);
  // 40 pixels become 360: nine each. Two panels, of which the darkest colour is the most.
  constexpr int kZoom = 9;
  const io::FrameSize panel{kSize.width * kZoom, kSize.height * kZoom};
  ASSERT_GT(image.size.width, 2 * panel.width);
  std::map<std::array<uint8_t, 3>, int> counts;
  const auto colour = [&](Place at) {
    const size_t byte = 3 * (static_cast<size_t>(at.y) * image.size.width + at.x);
    return std::array<uint8_t, 3>{image.pixels[byte], image.pixels[byte + 1],
                                  image.pixels[byte + 2]};
  };
  for (int y = 0; y < image.size.height; ++y)
    for (int x = 0; x < image.size.width; ++x) ++counts[colour({x, y})];
  counts.erase({255, 255, 255});
  const auto dark =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      })->first;
  // Corners of the panels: dark pixels with none to the left and above over a whole panel's side.
  std::vector<Place> panels;
  for (int y = 1; y + panel.height <= image.size.height; ++y) {
    for (int x = 1; x + panel.width <= image.size.width; ++x) {
      if (colour({x, y}) == dark && colour({x - 1, y}) != dark && colour({x, y - 1}) != dark &&
          colour({x + panel.width - 1, y}) == dark && colour({x, y + panel.height - 1}) == dark &&
          colour({x + panel.width, y}) != dark)
        panels.push_back({x, y});
    }
  }
  ASSERT_EQ(panels.size(), 2U);
  for (const Place corner : panels) {
    Place hottest{};
    int most = -1;
    std::set<std::pair<int, int>> warm;
    for (int y = 0; y < kSize.height; ++y) {
      for (int x = 0; x < kSize.width; ++x) {
        const Place at{corner.x + x * kZoom + kZoom / 2, corner.y + y * kZoom + kZoom / 2};
        if (brightness(image, at) > most) {
          most = brightness(image, at);
          hottest = {x, y};
        }
        if (colour(at) != dark) warm.insert({x, y});
      }
    }
    EXPECT_EQ(hottest.x, 31);
    EXPECT_EQ(hottest.y, 9);
    const bool is_mean = corner.x == panels.front().x;
    // Frame 0's pixel is in the mean, and not in frame 2, the worst.
    EXPECT_EQ(warm.size(), is_mean ? 2U : 1U);
    EXPECT_EQ(warm.contains({3, 20}), is_mean);
    // The scale's bar, and its numbers: "0" is shorter than what stands at the upper end.
    const int bar = corner.x + panel.width + 12;
    EXPECT_GT(brightness(image, {bar, corner.y}), 600);
    EXPECT_EQ(colour({bar, corner.y + panel.height - 1}), dark);
    const auto ink_end = [&](int top) {
      int end = 0;
      for (int y = top; y < top + 14; ++y)
        for (int x = bar + 20; x < std::min(bar + 80, image.size.width); ++x)
          if (brightness(image, {x, y}) < 100) end = std::max(end, x);
      return end;
    };
    EXPECT_GT(ink_end(corner.y + panel.height - 18), 0);
    EXPECT_GT(ink_end(corner.y), ink_end(corner.y + panel.height - 18));
    // A mean of 25 on a scale that ends at 50, and 100 on one that ends at 100.
    EXPECT_EQ(most > 600, !is_mean) << most;
  }
}

TEST_F(CompareOutputs, TheHeatMapHasARowForEachTest) {
  const auto height = [&](std::vector<std::string> files) {
    files.insert(files.end(), {"--heatmap", path("rows.png"), "--overwrite", "-q"});
    EXPECT_LE(compare(files).exit_code, 1);
    return io::read_png(path("rows.png")).size.height;
  };
  const int one = height({path("r.mkv"), test()});
  EXPECT_GT(height({path("r.mkv"), test(), path("r.mkv")}), one + kSize.height * 9);
}

TEST_F(CompareOutputs, AVideoLowerThanTheLettersHasAHeatMapToo) {
  io::Frames frames = noise_frames({400, 4}, 1, 5);
  video("low.mkv", frames);
  add_to(frames, {.row = 3}, 9);
  const ProgramResult result =
      compare({path("low.mkv"), video("other.mkv", frames), "--heatmap", path("low.png"), "-q"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_GT(io::read_png(path("low.png")).size.width, 800);
}

TEST_F(CompareOutputs, AFileThatExistsIsKeptUnlessOverwriteIsGiven) {
  for (const std::string flag : {"--per-frame", "--heatmap"}) {
    put_file(path("kept"), "mine");
    const ProgramResult refused = compare({path("r.mkv"), test(), flag, path("kept")});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_EQ(refused.out, "") << "the check comes first";
    EXPECT_NE(refused.err.find("kept' exists; pass --overwrite to replace it"), std::string::npos);
    EXPECT_EQ(read_file(path("kept")), "mine");
    EXPECT_EQ(compare({path("r.mkv"), test(), flag, path("kept"), "--overwrite"}).exit_code, 1);
    EXPECT_NE(read_file(path("kept")), "mine");
  }
}

TEST_F(CompareOutputs, OnesThatCannotBeAreRefusedBeforeAnythingIsRead) {
  make("a");
  const std::string bytes = read_file(path("r.mkv"));
  struct Row {
    std::vector<std::string> arguments;
    std::string line;
  };
  const std::vector<Row> rows = {
      {{path("missing.mkv"), test(), "--per-frame", path("none/f.csv")}, "cannot make a file in"},
      {{path("r.mkv"), test(), "--heatmap", path("r.mkv"), "--overwrite"}, "which is the input"},
      {{path("a"), path("a"), "--heatmap", path("a/000000.png"), "--overwrite"},
       "lies in the input"},
      {{path("r.mkv"), test(), "--heatmap", path("x"), "--per-frame", path("./x")},
       "would be both"},
      {{path("a.safetensors"), path("a.safetensors"), "--heatmap", path("h.png")},
       "--heatmap is given, but " + path("a.safetensors") + " holds latents"},
      {{path("a.trace"), path("a.trace"), "--per-frame", path("f.csv")}, "holds a trace"}};
  for (const Row& row : rows) {
    const ProgramResult result = compare(row.arguments);
    EXPECT_EQ(result.exit_code, 2) << row.line << result.err;
    EXPECT_EQ(result.out, "") << row.line;
    EXPECT_NE(result.err.find(row.line), std::string::npos) << result.err;
  }
  const ProgramResult twice =
      run_cogvx_gen({.arguments = {"r.mkv", "r.mkv", "--heatmap", "x", "--per-frame", "./x"},
                     .shell = "cd '" + path("") + "' && exec \"$@\"",
                     .program = "cogvx-compare"});
  EXPECT_EQ(twice.exit_code, 2) << twice.err;
  EXPECT_EQ(read_file(path("r.mkv")), bytes);
  EXPECT_FALSE(fs::exists(path("h.png")));
}

TEST_F(CompareOutputs, NothingIsWrittenWhereNothingCouldBeCompared) {
  EXPECT_EQ(
      compare({path("r.mkv"), path("missing.mkv"), "--per-frame", path("never.csv")}).exit_code, 3);
  EXPECT_FALSE(fs::exists(path("never.csv")));
}

TEST_F(CompareOutputs, JsonIsOneObjectForEachTestAndNothingElse) {
  const ProgramResult result = compare({path("r.mkv"), test(), path("r.mkv"), "--json"});
  EXPECT_EQ(result.exit_code, 1);
  const size_t end = result.out.find('\n');
  const json first = json::parse(result.out.substr(0, end)),
             second = json::parse(result.out.substr(end));
  EXPECT_EQ(first["test"], test());
  EXPECT_EQ(first["what"], "frames");
  EXPECT_EQ(first["identical"], 2);
  EXPECT_EQ(first["max_abs"], 100);
  EXPECT_EQ(first["psnr"]["worst_frame"], 2);
  EXPECT_NE(first["sha256"], first["sha256_reference"]);
  EXPECT_EQ(first["passed"], false);
  EXPECT_EQ(second["same"], true);
  EXPECT_EQ(second["psnr"]["mean"], "inf");
  EXPECT_EQ(second["first_difference"], nullptr);
  EXPECT_EQ(second["sha256"], second["sha256_reference"]);
}

TEST_F(CompareOutputs, QuietSaysNothingAndTheCodeAll) {
  for (const std::string flag : {"-q", "--quiet"}) {
    const ProgramResult result = compare({path("r.mkv"), test(), flag});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out + result.err, "");
  }
}

TEST_F(CompareOutputs, OneThatIsTheSameIsOneLineAndMoreAreATableToo) {
  const ProgramResult one = compare({path("r.mkv"), path("r.mkv")});
  EXPECT_EQ(one.out.find('\n'), one.out.size() - 1) << one.out;
  const ProgramResult two = compare({path("r.mkv"), path("r.mkv"), test()});
  const size_t head = two.out.find("\ntest ");
  ASSERT_NE(head, std::string::npos) << two.out;
  for (const std::string word : {"frames identical", "PSNR dB", "SSIM", "max abs", "verdict"})
    EXPECT_NE(two.out.find(word, head), std::string::npos) << two.out;
  // Columns end where their heads end.
  const std::string table = two.out.substr(head + 1);
  const size_t first = table.find('\n');
  const size_t verdict = table.find("verdict");
  EXPECT_EQ(table.substr(first + 1).find("identical\n"), verdict) << table;
}

// Two spaces, the flag, its short name and its value, and two spaces before what it does.
TEST_F(CompareOutputs, AScriptCanReadEveryFlagFromTheHelp) {
  const ProgramResult help = compare({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  std::set<std::string> flags;
  const std::regex pattern("\n  (--[a-z-]+(, -[a-z])?( [A-Z][A-Za-z0-9.]*)?)  +[a-z]");
  for (std::sregex_iterator match(help.out.begin(), help.out.end(), pattern), end; match != end;
       ++match)
    flags.insert((*match)[1]);
  EXPECT_EQ(flags, (std::set<std::string>{"--exact", "--min-psnr DB", "--min-ssim X", "--max-abs N",
                                          "--min-cosine X", "--per-frame F.csv", "--heatmap F.png",
                                          "--side-by-side F.mp4", "--html F.html", "--overwrite",
                                          "--json", "--quiet, -q", "--help, -h", "--version"}));
  EXPECT_EQ(compare({"-h"}).out, help.out);
}

TEST_F(CompareOutputs, VersionNamesTheProgramAndWhatReadsItsVideos) {
  const ProgramResult result = compare({"--version"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("cogvx-compare ")) << result.out;
  EXPECT_TRUE(std::regex_search(result.out, std::regex("\nlibavcodec [0-9]+"))) << result.out;
}

TEST_F(CompareOutputs, AnUnknownFlagGetsASuggestion) {
  const ProgramResult slip = compare({path("r.mkv"), path("r.mkv"), "--heatmpa", "x"});
  EXPECT_EQ(slip.exit_code, 2);
  EXPECT_NE(slip.err.find("unknown flag '--heatmpa'; did you mean --heatmap?"), std::string::npos)
      << slip.err;
  EXPECT_EQ(compare({path("r.mkv"), path("r.mkv"), "--max_abs", "0"}).exit_code, 0);
}

}  // namespace
}  // namespace cogvx::test
