#include <bit>
#include <cmath>
#include <cstring>

#include "tests/app/compare_test_support.h"
#include "tests/support/broken_files.h"

// --exact, --min-psnr, --min-ssim, --max-abs, --min-cosine.
namespace cogvx::test {
namespace {

using nlohmann::json;

class CompareLimits : public CompareTest {
 protected:
  void SetUp() override {
    io::Frames frames = noise_frames({32, 32}, 4, 5);
    video("r.mkv", frames);
    add_to(frames, {.frame = 1}, 1);
    add_to(frames, {.frame = 2, .row = 20, .column = 20, .colour = 2}, 3);
    video("t.mkv", frames);
  }
  ProgramResult run(std::vector<std::string> limits) const {
    limits.insert(limits.begin(), {path("r.mkv"), path("t.mkv")});
    return compare(limits);
  }
};

TEST_F(CompareLimits, EachIsOneOfTheWorstFrameAndNamesItWhereItIsNotMet) {
  const json found = compare_json({path("r.mkv"), path("t.mkv")});
  const double psnr = found["psnr"]["worst"], ssim = found["ssim"]["worst"];
  const auto text = [](double value) { return json(value).dump(); };
  struct Row {
    std::string flag;
    std::string met;
    std::string not_met;
    int frame;
  };
  const std::vector<Row> rows = {
      {"--min-psnr", text(psnr - 1e-3), text(psnr + 1e-3), 2},
      {"--min-ssim", text(ssim - 1e-9), text((ssim + 1) / 2), found["ssim"]["worst_frame"]},
      {"--max-abs", "3", "2.5", 2}};
  for (const Row& row : rows) {
    const ProgramResult good = run({row.flag, row.met});
    EXPECT_EQ(good.exit_code, 0) << row.flag << good.out;
    EXPECT_NE(good.out.find("t.mkv: within the limits of "), std::string::npos) << good.out;
    const ProgramResult bad = run({row.flag, row.not_met});
    EXPECT_EQ(bad.exit_code, 1) << row.flag << bad.out;
    EXPECT_NE(bad.out.find("t.mkv: DIFFERENT from "), std::string::npos) << bad.out;
    EXPECT_NE(bad.out.find("\n  not met: " + row.flag), std::string::npos) << bad.out;
    EXPECT_NE(bad.out.find(": frame " + std::to_string(row.frame) + " has "), std::string::npos)
        << bad.out;
  }
  // The mean over the frames is well above.
  EXPECT_GT(found["psnr"]["mean"].get<double>(), psnr + 1);
}

TEST_F(CompareLimits, AllThatAreGivenMustBeMet) {
  EXPECT_EQ(run({"--min-psnr", "40", "--max-abs", "3"}).exit_code, 0);
  EXPECT_EQ(run({"--min-psnr", "90", "--max-abs", "3"}).exit_code, 1);
  EXPECT_EQ(run({"--min-psnr", "40", "--max-abs", "0"}).exit_code, 1);
  EXPECT_EQ(run({"--min-psnr", "40", "--exact"}).exit_code, 1);
  EXPECT_NE(run({"--exact"}).out.find("not met: --exact: 2 of 4 frames are identical"),
            std::string::npos);
  EXPECT_EQ(compare({path("r.mkv"), path("r.mkv"), "--exact", "--min-psnr", "1000", "--min-ssim",
                     "1", "--max-abs", "0"})
                .exit_code,
            0)
      << "the PSNR of identical frames is infinite";
  // One TEST that is not within them is enough.
  EXPECT_EQ(
      compare({path("r.mkv"), path("r.mkv"), path("t.mkv"), path("r.mkv"), "--exact"}).exit_code,
      1);
}

TEST_F(CompareLimits, JsonNamesWhatWasWantedAndFound) {
  const json found =
      compare_json({path("r.mkv"), path("t.mkv"), "--max-abs", "2", "--min_psnr", "40"});
  EXPECT_EQ(found["passed"], false);
  EXPECT_EQ(found["same"], false);
  ASSERT_EQ(found["limits"].size(), 2U);
  EXPECT_EQ(found["limits"][0]["limit"], "--min-psnr");
  EXPECT_EQ(found["limits"][0]["met"], true);
  EXPECT_EQ(
      found["limits"][1],
      (json{
          {"limit", "--max-abs"}, {"wanted", 2.0}, {"found", 3.0}, {"frame", 2}, {"met", false}}));
}

TEST_F(CompareLimits, OnesThatDoNotApplyOrCannotBeAreUsageErrors) {
  make("a");
  struct Row {
    std::vector<std::string> arguments;
    std::string line;
  };
  const std::vector<Row> rows = {
      {{path("a.safetensors"), "--min-psnr", "40"},
       "--min-psnr is given, but " + path("a.safetensors") + " holds latents"},
      {{path("a.safetensors"), "--min-ssim", "0.9"}, "--min-ssim is given, but "},
      {{path("a.mkv"), "--min-cosine", "0.9"}, "holds video frames; it is a limit for latents"},
      {{path("a.trace"), "--max-abs", "1"},
       "holds a trace; it is a limit for video frames, latents"},
      {{path("a.json"), "--max-abs", "1"}, "holds a sidecar"},
      {{path("a.mkv"), "--min-ssim", "1.5"}, "--min-ssim is 1.5, wanted -1 to 1"},
      {{path("a.mkv"), "--min-psnr", "-1"}, "--min-psnr is -1, wanted 0 or more"},
      {{path("a.mkv"), "--max-abs", "many"}, "--max-abs is 'many', wanted a number"}};
  for (const Row& row : rows) {
    std::vector<std::string> arguments = row.arguments;
    arguments.push_back(arguments.front());
    const ProgramResult result = compare(arguments);
    EXPECT_EQ(result.exit_code, 2) << row.line;
    EXPECT_EQ(result.out, "") << row.line;
    EXPECT_NE(result.err.find(row.line), std::string::npos) << result.err;
  }
  for (const std::string kind : {".safetensors", ".trace", ".json", ".mkv"})
    EXPECT_EQ(compare({path("a" + kind), path("a" + kind), "--exact"}).exit_code, 0) << kind;
}

// Changes latents and says what the distances then must be.
class LatentDistances : public CompareTest {
 protected:
  void SetUp() override { make("a"); }
  // Latents [5, 16, 8, 12], float32 or bfloat16.
  static constexpr size_t kPerFrame = size_t{16} * 8 * 12;
};

TEST_F(LatentDistances, AreOfEachLatentFrameWithTheWorst) {
  RawSafetensors raw = RawSafetensors::load(path("a.safetensors"));
  std::vector<float> values(raw.data.size() / sizeof(float));
  std::memcpy(values.data(), raw.data.data(), raw.data.size());
  ASSERT_EQ(values.size(), 5 * kPerFrame);
  std::vector<float> changed = values;
  for (size_t i = 3 * kPerFrame; i < 4 * kPerFrame; ++i) changed[i] *= 2;  // same direction
  changed[kPerFrame + 7] += 4;
  std::memcpy(raw.data.data(), changed.data(), raw.data.size());
  raw.save(path("changed.safetensors"));
  double squares = 0, largest = 0;
  for (size_t i = kPerFrame; i < 2 * kPerFrame; ++i) squares += double{values[i]} * values[i];
  for (size_t i = 3 * kPerFrame; i < 4 * kPerFrame; ++i)
    largest = std::max(largest, std::abs(double{values[i]}));

  const json found = compare_json({path("a.safetensors"), path("changed.safetensors"),
                                   "--per-frame", path("f.csv"), "--overwrite"});
  EXPECT_EQ(found["identical"], 3);
  EXPECT_EQ(found["first_difference"], "latent frame 1");
  EXPECT_EQ(found["relative_l2"]["worst_frame"], 3);
  EXPECT_NEAR(found["relative_l2"]["worst"], 1, 1e-12);
  EXPECT_EQ(found["cosine"]["worst_frame"], 1);
  EXPECT_NEAR(found["max_abs"], std::max(largest, 4.0), 1e-6);
  const double l2 = 4 / std::sqrt(squares);
  EXPECT_NEAR(found["relative_l2"]["mean"], (1 + l2) / 5, 1e-6);
  const double dot = squares + 4 * double{values[kPerFrame + 7]};
  const double norm = std::sqrt(squares + 8 * double{values[kPerFrame + 7]} + 16);
  const double cosine = dot / std::sqrt(squares) / norm;
  EXPECT_NEAR(found["cosine"]["worst"], cosine, 1e-7);
  EXPECT_NEAR(found["cosine"]["mean"], (4 + cosine) / 5, 1e-7);

  const auto rows = read_csv(path("f.csv"));
  ASSERT_EQ(rows.size(), 5U);
  EXPECT_EQ(rows[0].at("identical"), "1");
  EXPECT_EQ(rows[1].at("identical"), "0");
  EXPECT_NEAR(std::stod(rows[1].at("relative_l2")), l2, 1e-6);
  EXPECT_NEAR(std::stod(rows[3].at("cosine")), 1, 1e-12);

  const auto with = [&](const std::string& flag, double limit) {
    return compare(
        {path("a.safetensors"), path("changed.safetensors"), flag, std::to_string(limit)});
  };
  EXPECT_EQ(with("--min-cosine", cosine - 1e-4).exit_code, 0);
  const ProgramResult low = with("--min-cosine", cosine + 1e-4);
  EXPECT_EQ(low.exit_code, 1);
  EXPECT_NE(low.out.find(": latent frame 1 has 0."), std::string::npos) << low.out;
  EXPECT_EQ(with("--max-abs", std::max(largest, 4.0) + 1e-3).exit_code, 0);
  EXPECT_EQ(with("--max-abs", std::max(largest, 4.0) - 1e-3).exit_code, 1);
}

TEST_F(LatentDistances, OfBfloat16AreOfTheNumbersAndNotOfTheBits) {
  make("b", {"--dtype", "bf16"});
  RawSafetensors raw = RawSafetensors::load(path("b.safetensors"));
  ASSERT_EQ(raw.data.size(), 5 * kPerFrame * 2);
  float largest = 0;
  for (size_t i = 0; i < raw.data.size(); i += 2) {
    // The upper half of a float32.
    const uint32_t bits =
        static_cast<uint8_t>(raw.data[i + 1]) << 24 | static_cast<uint8_t>(raw.data[i]) << 16;
    largest = std::max(largest, std::abs(std::bit_cast<float>(bits)));
    raw.data[i + 1] ^= '\x80';  // the sign
  }
  raw.save(path("negative.safetensors"));
  const json found = compare_json({path("b.safetensors"), path("negative.safetensors")});
  EXPECT_NEAR(found["cosine"]["mean"], -1, 1e-12);
  EXPECT_NEAR(found["relative_l2"]["worst"], 2, 1e-12);
  EXPECT_EQ(found["max_abs"], 2.0 * largest);
}

TEST_F(LatentDistances, AZeroReferenceIsInfinitelyFarInRelationAndNotANumberThatIsNone) {
  RawSafetensors raw = RawSafetensors::load(path("a.safetensors"));
  std::fill(raw.data.begin(), raw.data.end(), '\0');
  raw.save(path("zero.safetensors"));
  raw.data[3] = '\x80';  // -0
  raw.save(path("minus.safetensors"));
  const json far = compare_json({path("zero.safetensors"), path("a.safetensors")});
  EXPECT_EQ(far["relative_l2"]["worst"], "inf");
  EXPECT_EQ(far["cosine"]["worst"], 0.0);
  const ProgramResult text = compare({path("zero.safetensors"), path("a.safetensors")});
  EXPECT_EQ(text.out.find("nan"), std::string::npos) << text.out;
  const json signs = compare_json(
      {path("zero.safetensors"), path("minus.safetensors"), "--per-frame", path("signs.csv")});
  EXPECT_EQ(signs["same"], false) << "0 and -0 are other bytes";
  EXPECT_EQ(signs["max_abs"], 0.0);
  const auto rows = read_csv(path("signs.csv"));
  ASSERT_EQ(rows.size(), 5U);
  EXPECT_EQ(rows[0].at("identical"), "0");
  EXPECT_EQ(rows[1].at("identical"), "1");
}

}  // namespace
}  // namespace cogvx::test
