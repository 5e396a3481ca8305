// One step of every published model's geometry: real widths, two layers, random weights, the
// trained size. Memory hardly depends on how many layers a text encoder has, and what a layer of
// the transformer adds is in the plan. The VAE is slim here: vae_memory_test has its real widths.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <ostream>

#include "io/png.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"

namespace cogvx::test {
namespace {

using nlohmann::json;

constexpr double kMemory = 24.0 * 1024 * 1024 * 1024;

struct Model {
  const char* geometry;
  int width;
  int height;
  int frames;  // all that it was trained for, unless that takes too long
  bool image;
};
void PrintTo(const Model& model, std::ostream* out) { *out << model.geometry; }

class RealGeometry : public testing::TestWithParam<Model> {
 protected:
  void make_checkpoint() const {
    const std::string command =
        "python3 '" + (source_dir() / "scripts" / "make_random_checkpoint.py").string() +
        "' --geometry " + GetParam().geometry +
        " --layers 2 --text-layers 2 --text-width 4096 --slim-vae 16 --tokenizer '" + demo_model() +
        "/tokenizer/spiece.model' '" + path("model") + "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }

  // Grey levels that rise to the right and downwards.
  void make_image() const {
    const Model& model = GetParam();
    io::Image image{.pixels = {}, .size = {.width = model.width, .height = model.height}};
    for (int y = 0; y < model.height; ++y) {
      for (int x = 0; x < model.width; ++x)
        image.pixels.insert(image.pixels.end(), 3, static_cast<uint8_t>((x + y) / 8));
    }
    io::write_png(path("image.png"), image.view());
  }

  json report_of_one_step() const {
    const Model& model = GetParam();
    std::vector<std::string> arguments = {"--model",   path("model"),
                                          "-p",        "a boat",
                                          "--steps",   "1",
                                          "-g",        "1",
                                          "--dtype",   "bf16",
                                          "--threads", "2",
                                          "--width",   std::to_string(model.width),
                                          "--height",  std::to_string(model.height),
                                          "--frames",  std::to_string(model.frames),
                                          "-o",        path("v.mp4"),
                                          "--json",    "--allow-untrained-size"};
    if (model.image) arguments.insert(arguments.end(), {"--image", path("image.png")});
    const ProgramResult result = run_cogvx_gen(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }

  std::string path(const char* name) const { return (folder_ / name).string(); }

  TemporaryFolder folder_;
};

TEST_P(RealGeometry, RunsAStepWithin24GibAndAsPlanned) {
  if (std::getenv("COGVX_LONG") == nullptr) GTEST_SKIP() << "takes minutes; set COGVX_LONG";
  const Model& model = GetParam();
  make_checkpoint();
  if (model.image) make_image();
  const json report = report_of_one_step();
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["frames"], model.frames);
  EXPECT_EQ(report["request"]["task"], model.image ? "i2v" : "t2v");
  const json& peaks = report["peak_memory_bytes"][0];
  ASSERT_EQ(peaks.contains("encode_video"), model.image);
  for (const char* stage : {"encode_text", "encode_video", "denoise", "decode"}) {
    if (!peaks.contains(stage)) continue;
    const double peak = peaks[stage];
    const double plan = report["predicted_memory_bytes"][0][stage];
    std::printf("%s, %d x %d x %d, %s: %.1f s, %.3f GB, planned %.3f GB\n", model.geometry,
                model.frames, model.height, model.width, stage,
                report["seconds"][0][stage].get<double>(), peak / 1e9, plan / 1e9);
    EXPECT_LE(peak, kMemory) << stage;
    EXPECT_LE(peak, 1.15 * plan) << stage;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RealGeometry,
                         testing::Values(Model{"2b", 720, 480, 49, false},
                                         Model{"5b", 720, 480, 49, false},
                                         Model{"5b-i2v", 720, 480, 49, true},
                                         Model{"1.5-5b", 1360, 768, 17, false},
                                         Model{"1.5-5b-i2v", 1360, 768, 17, true}));

}  // namespace
}  // namespace cogvx::test
