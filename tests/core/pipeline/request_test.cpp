#include "core/pipeline/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/core/weights/weights_test_support.h"

namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;
using testing::HasSubstr;

// No member has its default.
Request unusual_request() {
  Request r;
  r.checkpoint = {"t", "e", "x", "v", "n"};
  r.task = Task::kImageToVideo;
  r.input_sha256 = "p";
  r.strength = 0.7;
  r.loras = {{"l", 0.5}, {"m", -1.25}};
  r.prompt = "Straße \"quoted\"\n\xf0\x9f\x8e\x88";
  r.negative_prompt = "blurry";
  r.width = 96;
  r.height = 112;
  r.num_frames = 17;
  r.steps = 7;
  r.guidance_scale = 0.1 + 0.2;
  r.dynamic_cfg = true;
  r.scheduler = {.kind = SchedulerKind::kDpm,
                 .num_train_timesteps = 999,
                 .beta_start = 0.1,
                 .beta_end = 0.3,
                 .beta_schedule = BetaSchedule::kLinear,
                 .prediction_type = PredictionType::kSample,
                 .timestep_spacing = TimestepSpacing::kLinspace,
                 .steps_offset = 3,
                 .snr_shift_scale = 1.0 / 3,
                 .rescale_betas_zero_snr = true,
                 .set_alpha_to_one = false,
                 .clip_sample = true,
                 .clip_sample_range = 0.5};
  r.seed = 18446744073709551615U;
  r.dtype = at::kBFloat16;
  r.vae_tile = {48, 80};
  r.max_text_tokens = 24;
  r.attention = AttentionKernel::kCudnn;
  return r;
}

Request round_trip(const Request& request) {
  return request_from_json(json::parse(request_to_json(request).dump()), "file");
}

TEST(Request, ComesBackFromItsJson) {
  EXPECT_EQ(round_trip(unusual_request()), unusual_request());
  Request mostly_default;
  mostly_default.width = mostly_default.height = 16;
  mostly_default.num_frames = 1;
  EXPECT_EQ(round_trip(mostly_default), mostly_default);
  Request half = unusual_request();
  half.dtype = at::kHalf;
  half.scheduler.timestep_spacing = TimestepSpacing::kLeading;
  half.scheduler.prediction_type = PredictionType::kEpsilon;
  EXPECT_EQ(round_trip(half), half);
}

// Paths of all leaves, "/scheduler/beta_start".
std::vector<json::json_pointer> leaves(const json& value) {
  std::vector<json::json_pointer> found;
  const json flat = value.flatten();
  for (const auto& [path, leaf] : flat.items()) found.emplace_back(path);
  return found;
}

TEST(Request, AMissingKeyIsADataErrorThatNamesTheFileAndTheKey) {
  const json whole = request_to_json(unusual_request());
  EXPECT_EQ(leaves(whole).size(), 39U);
  for (const json::json_pointer& path : leaves(whole)) {
    json cut = whole;
    cut.at(path.parent_pointer()).erase(path.back());
    const std::string error = data_error([&] { request_from_json(cut, "saved.json"); });
    EXPECT_THAT(error, HasSubstr("saved.json: "));
    EXPECT_THAT(error, HasSubstr("'" + path.back() + "'"));
  }
}

TEST(Request, AValueOfAnotherTypeIsADataError) {
  const json whole = request_to_json(unusual_request());
  for (const json::json_pointer& path : leaves(whole)) {
    json changed = whole;
    changed[path] = json::array();
    EXPECT_THROW(request_from_json(changed, "saved.json"), DataError) << path;
  }
  for (const char* path : {"/dtype", "/task", "/scheduler/class", "/scheduler/timestep_spacing"}) {
    json changed = whole;
    changed[json::json_pointer(path)] = "unheard of";
    EXPECT_THAT(data_error([&] { request_from_json(changed, "saved.json"); }),
                HasSubstr("is \"unheard of\", wanted "));
  }
  EXPECT_THROW(request_from_json(json::array(), "saved.json"), DataError);
}

TEST(Request, AnUnknownKeyIsADataError) {
  const json whole = request_to_json(unusual_request());
  for (const char* path : {"/lora", "/checkpoint/lora", "/scheduler/lora", "/vae_tile/lora"}) {
    json changed = whole;
    changed[json::json_pointer(path)] = 1;
    EXPECT_THAT(data_error([&] { request_from_json(changed, "saved.json"); }),
                HasSubstr("'lora' is unknown to this version"))
        << path;
  }
}

TEST(Request, NumbersOutsideTheirRangesAreDataErrorsThatNameTheKey) {
  const json whole = request_to_json(unusual_request());
  const std::vector<std::pair<const char*, std::vector<json>>> bad{
      {"/width", {15, 8193, -16, 1e300, 96.0, "96", true}},
      {"/height", {0, 8193, INT64_MIN}},
      {"/num_frames", {0, 1025, UINT64_MAX}},
      {"/steps", {0, 100001, -1e300}},
      {"/guidance_scale", {"6", json(), std::numeric_limits<double>::infinity()}},
      {"/dynamic_cfg", {1, "true"}},
      {"/strength", {0, 1.01, "1"}},
      {"/loras", {"none", json::array({1})}},
      {"/scheduler/clip_sample_range", {0, -1}},
      {"/seed", {-1, 1.5, 1e300}},
      {"/vae_tile/height", {-1, 8193, 0}},
      {"/vae_tile/width", {-1, 8193, 0}},
      {"/max_text_tokens", {0, 65537}},
      {"/prompt", {5, json()}},
      {"/scheduler/num_train_timesteps", {1, 100001}},
      {"/scheduler/beta_start", {0, -0.1, std::numeric_limits<double>::quiet_NaN()}},
      {"/scheduler/beta_end", {0, "0.1"}},
      {"/scheduler/steps_offset", {-1, 1001}},
      {"/scheduler/snr_shift_scale", {0, false}}};
  for (const auto& [path, values] : bad) {
    for (const json& value : values) {
      json changed = whole;
      changed[json::json_pointer(path)] = value;
      const std::string error = data_error([&] { request_from_json(changed, "saved.json"); });
      EXPECT_THAT(error, testing::StartsWith("saved.json: request: ")) << path << " " << value;
      EXPECT_THAT(error, HasSubstr(", wanted ")) << path << " " << value;
    }
  }
  json changed = whole;
  changed["steps"] = "x";
  EXPECT_EQ(data_error([&] { request_from_json(changed, "saved.json"); }),
            "saved.json: request: 'steps' is \"x\", wanted a whole number");
}

TEST(Request, DifferencesAreNamedWithBothValues) {
  const Request a = unusual_request();
  EXPECT_TRUE(request_differences(a, a).empty());
  Request b = a;
  b.seed = 7;
  b.scheduler.beta_end = 0.25;
  b.vae_tile.width = 120;
  b.checkpoint.vae = "other";
  const std::vector<FieldDifference> found = request_differences(a, b);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].field, "scheduler.beta_end");
  EXPECT_EQ(found[0].a, "0.3");
  EXPECT_EQ(found[0].b, "0.25");
  EXPECT_EQ(found[1].field, "seed");
  EXPECT_EQ(found[1].a, "18446744073709551615");
  EXPECT_EQ(found[2].field, "vae_tile.width");
}

// Every member takes part: a change of any leaf of the JSON but the checkpoint's is a difference.
TEST(Request, EveryMemberCanDiffer) {
  Request other;
  other.width = other.height = 16;
  other.num_frames = 1;
  other.dynamic_cfg = false;
  EXPECT_EQ(request_differences(unusual_request(), other).size(), 39U - 5U);
}

TEST(Request, GuidanceStartsAboveOne) {
  Request request;
  request.guidance_scale = 1.0;
  EXPECT_FALSE(request.uses_guidance());
  request.guidance_scale = 1.0001;
  EXPECT_TRUE(request.uses_guidance());
}

TEST(Request, RowsAreCountedByTheKindsPatches) {
  const auto rows = [](const TransformerConfig& config, int64_t width, int64_t height,
                       int64_t frames) {
    Checkpoint checkpoint;
    checkpoint.transformer = config;
    Request r;
    r.width = width;
    r.height = height;
    r.num_frames = frames;
    return joint_rows(r, checkpoint);
  };
  EXPECT_EQ(rows({}, 720, 480, 49), 17776);
  EXPECT_EQ(rows({.patch_size_t = 2}, 1360, 768, 85), 45106);  // 22 latent frames
}

}  // namespace
}  // namespace cogvx
