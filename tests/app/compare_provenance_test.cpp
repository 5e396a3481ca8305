#include "tests/app/compare_test_support.h"
#include "tests/support/broken_files.h"

// What made the files: requests, engines and placements, from the sidecar beside a video or from
// the video itself; and formats.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kPlacement[] =
    "\n  made on 1x1 and 2x2 (cp x sp), with threads 1 and 2: expected to make no difference\n";
constexpr char kSeed[] = "\n  the requests differ: seed is 42 and 43\n";

class CompareProvenance : public CompareTest {
 protected:
  void SetUp() override { make("a"); }
  // A copy of the run "a" whose sidecar is changed.
  void copy(const std::string& stem, const json& patch) const {
    for (const std::string kind : {".mkv", ".json", ".safetensors"})
      fs::copy_file(path("a" + kind), path(stem + kind));
    patch_json(path(stem + ".json"), patch);
  }
  std::string say(const std::string& reference, const std::string& test, int code) const {
    const ProgramResult result = compare({path(reference), path(test)});
    EXPECT_EQ(result.exit_code, code) << reference << " " << test << ": " << result.err;
    return result.out;
  }
};

void expect_said(const std::string& text, const std::string& said) {
  EXPECT_NE(text.find(said), std::string::npos) << "wanted " << said << " in " << text;
}
void expect_not_said(const std::string& text, const std::string& said) {
  EXPECT_EQ(text.find(said), std::string::npos) << "found " << said << " in " << text;
}

TEST_F(CompareProvenance, AnotherPlacementIsNamedAndSaidToBeExpected) {
  make("four", {"--cp", "2", "--sp", "2", "--threads", "2"});
  for (const std::string kind : {".mkv", "", ".json", ".trace"})
    expect_said(say("a" + kind, "four" + kind, 0), kPlacement);
  // The folder's sidecar is that of the video of the same stem.
  expect_said(say("a.mkv", "four", 0), kPlacement);
}

TEST_F(CompareProvenance, TheRequestIsFoundInTheSidecarAndWithoutOneInTheVideo) {
  make("other", {"--seed", "43", "--guidance-scale", "5"});
  for (const bool with_sidecars : {true, false}) {
    const std::string text = say("a.mkv", "other.mkv", 1);
    expect_said(text, kSeed);
    expect_said(text, "\n  the requests differ: guidance_scale is 6.0 and 5.0\n");
    expect_not_said(text, "the metadata differ");
    if (!with_sidecars) continue;
    fs::remove(path("a.json"));
    fs::remove(path("other.json"));
  }
  make("bare", {"--seed", "43", "--no-metadata"});
  fs::remove(path("bare.json"));
  expect_not_said(say("a.mkv", "bare.mkv", 1), "the requests differ");
}

TEST_F(CompareProvenance, AnotherEngineIsNamedInWords) {
  copy("engine", {{"engine", {{"torch", "9.9.9"}, {"environment", {{"MKL_CBWR", "AVX2"}}}}}});
  const std::string text = say("a.mkv", "engine.mkv", 0);
  expect_said(text, "\n  made by another engine (MKL_CBWR none and AVX2, torch ");
  expect_said(text, " and 9.9.9): the last bits may differ\n");
  expect_not_said(text, "{");
  copy("gpu", {{"engine", {{"device", "cuda"}, {"gpu", {{"name", "NVIDIA H100"}}}}}});
  expect_said(say("a.json", "gpu.json", 0),
              "\n  made by another engine (device cpu and cuda, gpu name none and NVIDIA H100)");
}

TEST_F(CompareProvenance, AnotherCheckpointIsNamedByItsPart) {
  copy("checkpoint", {{"request", {{"checkpoint", {{"transformer", std::string(64, '0')}}}}}});
  expect_said(say("a.json", "checkpoint.json", 0),
              "\n  the requests differ: another checkpoint (transformer)\n");
}

TEST_F(CompareProvenance, ASidecarOfAnotherVideoIsNotBelieved) {
  make("other", {"--seed", "43"});
  // By its hash, where the file is lossless.
  for (const std::string kind : {".mkv", ".json"})
    fs::copy_file(path((kind == ".mkv" ? "a" : "other") + kind), path("mixed" + kind));
  std::string text = say("a.mkv", "mixed.mkv", 0);
  expect_said(text, "mixed.json is not the sidecar of " + path("mixed.mkv"));
  expect_not_said(text, "the requests differ");
  copy("edited", {{"sha256_frames", std::string(64, 'b')}});
  expect_said(say("a.mkv", "edited.mkv", 0), "its sha256_frames are others than this video's");
  // Another length, another request than inside, another name: lossy files have no hash to ask.
  make("lossy", {"--codec", "h264", "-o", path("lossy.mp4")});
  patch_json(path("lossy.json"), {{"frames", 9}});
  expect_said(say("lossy.mp4", "lossy.mp4", 0), "its size or number of frames is another");
  patch_json(path("lossy.json"), {{"frames", 17}, {"request", {{"seed", 7}}}});
  expect_said(say("lossy.mp4", "lossy.mp4", 0), "its request is another than the one inside");
  make("bare", {"--codec", "h264", "-o", path("bare.mp4"), "--no-metadata"});
  fs::copy_file(path("bare.mp4"), path("renamed.mp4"));
  fs::copy_file(path("bare.json"), path("renamed.json"));
  expect_said(say("bare.mp4", "renamed.mp4", 0), "is not the sidecar of ");
  // Somebody else's file of the same stem is none of our business.
  put_file(path("bare.json"), "[1, 2]");
  fs::remove(path("renamed.json"));
  text = say("bare.mp4", "renamed.mp4", 0);
  EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
}

TEST_F(CompareProvenance, BytesThatHadToBeTheSameAreSaidToBeADefect) {
  copy("changed", {{"sha256_frames", std::string(64, 'a')}});
  expect_said(say("a.json", "changed.json", 1),
              "request and engine are the same, so the bytes should be");
  RawSafetensors raw = RawSafetensors::load(path("a.safetensors"));
  raw.data[0] ^= 1;
  raw.save(path("bit.safetensors"));
  expect_said(say("a.safetensors", "bit.safetensors", 1), "request and engine are the same");
  make("other", {"--seed", "43"});
  for (const std::string kind : {".mkv", ".json", ".safetensors", ".trace"})
    expect_not_said(say("a" + kind, "other" + kind, 1), "request and engine are the same");
}

TEST_F(CompareProvenance, FramesPerSecondAndCodecAreNotesAndFramesDecide) {
  make("fast", {"--fps", "16"});
  const std::string text = say("a.mkv", "fast.mkv", 0);
  expect_said(text, "\n  the frames per second differ: 8 and 16\n");
  expect_said(text, "fast.mkv: identical to ");
  make("lossy", {"--codec", "h264", "-o", path("lossy.mp4")});
  const std::string lossy = say("a.mkv", "lossy.mp4", 1);
  expect_said(
      lossy,
      "\n  the formats differ: ffv1 bgr0 gbr pc (lossless) and h264 yuv420p bt709 tv (lossy)\n");
  expect_said(lossy, "\n  the frames were the same before they were encoded (sha256_frames)\n");
}

TEST_F(CompareProvenance, TheHashesAreThoseOfTheSidecar) {
  const std::string hash = json::parse(read_file(path("a.json"))).at("sha256_frames");
  for (const std::string file : {"a.mkv", "a"})
    expect_said(say(file, "a.mkv", 0), ": 17 of 17 frames, sha256 " + hash + "\n");
  const std::string latents = json::parse(read_file(path("a.json"))).at("sha256_latents");
  expect_said(say("a.safetensors", "a.safetensors", 0), "5 of 5 latent frames, sha256 " + latents);
}

}  // namespace
}  // namespace cogvx::test
