#include "core/pipeline/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  r.checkpoint = {"t", "e", "x", "v"};
  r.task = "i2v";
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
                 .set_alpha_to_one = false};
  r.seed = 18446744073709551615U;
  r.dtype = at::kBFloat16;
  r.vae_tile = {48, 80};
  r.max_text_tokens = 24;
  return r;
}

Request round_trip(const Request& request) {
  return request_from_json(json::parse(request_to_json(request).dump()), "file");
}

TEST(Request, ComesBackFromItsJson) {
  EXPECT_EQ(round_trip(unusual_request()), unusual_request());
  EXPECT_EQ(round_trip(Request{}), Request{});
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
  EXPECT_EQ(leaves(whole).size(), 29U);
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
  for (const char* path : {"/dtype", "/scheduler/class", "/scheduler/timestep_spacing"}) {
    json changed = whole;
    changed[json::json_pointer(path)] = "unheard of";
    EXPECT_THAT(data_error([&] { request_from_json(changed, "saved.json"); }),
                HasSubstr("unknown value 'unheard of'"));
  }
  EXPECT_THROW(request_from_json(json::array(), "saved.json"), DataError);
}

TEST(Request, GuidanceStartsAboveOne) {
  Request request;
  request.guidance_scale = 1.0;
  EXPECT_FALSE(request.uses_guidance());
  request.guidance_scale = 1.0001;
  EXPECT_TRUE(request.uses_guidance());
}

}  // namespace
}  // namespace cogvx
