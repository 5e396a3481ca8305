#include "core/pipeline/saved_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/core/weights/weights_test_support.h"

namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kEngine = R"({"cogvx":"0.1.0","device":"cpu"})";
const StoredTensor kLatents{.name = "latents", .dtype = "BF16", .shape = {1, 2, 3, 2, 4}};
const StoredTensor kPrevious{.name = "previous_x0", .dtype = "F32", .shape = {1, 2, 3, 2, 4}};
const StoredTensor kGenerator{.name = "generator", .dtype = "U8", .shape = {40}};

Request small_request() {
  Request r;
  r.prompt = "a red ball";
  r.width = 32;
  r.height = 16;
  r.num_frames = 5;
  r.steps = 7;
  return r;
}

std::string file_with(const std::vector<StoredTensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::string file = safetensors_prefix(tensors, metadata);
  for (const StoredTensor& tensor : tensors) {
    size_t size = stored_dtype_size(tensor.dtype);
    for (const int64_t extent : tensor.shape) size *= static_cast<size_t>(extent);
    file.append(size, 'x');
  }
  return file;
}

std::string latents_file() {
  return file_with({kLatents}, latents_metadata(small_request(), kEngine));
}

std::string state_file() {
  return file_with({kLatents, kPrevious, kGenerator}, state_metadata(small_request(), kEngine, 3));
}

std::string latents_error(const std::string& file) {
  return data_error([&] { parse_latents(bytes_of(file), "saved"); });
}

std::string state_error(const std::string& file) {
  return data_error([&] { parse_state(bytes_of(file), "saved"); });
}

TEST(SavedRun, LatentsComeBack) {
  const std::string file = latents_file();
  const StoredLatents found = parse_latents(bytes_of(file), "saved");
  EXPECT_EQ(found.request, small_request());
  EXPECT_EQ(found.engine, kEngine);
  EXPECT_EQ(found.latents.dtype, "BF16");
  EXPECT_EQ(found.latents.shape, kLatents.shape);
  EXPECT_EQ(found.latents.end, file.size());
  EXPECT_EQ(found.latents.begin, file.size() - 2 * 48);
}

TEST(SavedRun, AStateComesBackWithAndWithoutThePreviousX0) {
  const std::string whole = state_file();
  StoredState found = parse_state(bytes_of(whole), "saved");
  EXPECT_EQ(found.request, small_request());
  EXPECT_EQ(found.engine, kEngine);
  EXPECT_EQ(found.next_step, 3);
  EXPECT_EQ(found.latents.shape, kLatents.shape);
  ASSERT_TRUE(found.previous_x0.has_value());
  EXPECT_EQ(found.previous_x0->end - found.previous_x0->begin, 4U * 48);
  EXPECT_EQ(found.generator.shape, kGenerator.shape);
  const std::string without =
      file_with({kLatents, kGenerator}, state_metadata(small_request(), kEngine, 8));
  found = parse_state(bytes_of(without), "saved");
  EXPECT_FALSE(found.previous_x0.has_value());
  EXPECT_EQ(found.next_step, 8);
}

TEST(SavedRun, EveryTruncationIsADataError) {
  for (const std::string& file : {latents_file(), state_file()}) {
    for (size_t length = 0; length < file.size(); ++length) {
      const std::string cut = file.substr(0, length);
      ASSERT_THAT(latents_error(cut), StartsWith("saved: ")) << length;
      ASSERT_THAT(state_error(cut), StartsWith("saved: ")) << length;
    }
  }
}

TEST(SavedRun, TheOtherKindIsToldItsFlag) {
  EXPECT_THAT(latents_error(state_file()), HasSubstr("--resume reads it"));
  EXPECT_THAT(state_error(latents_file()), HasSubstr("--decode-latents reads it"));
}

TEST(SavedRun, LatentsOfAnotherDtypeRankOrSizeAreDataErrors) {
  const auto error = [](const StoredTensor& latents) {
    return latents_error(file_with({latents}, latents_metadata(small_request(), kEngine)));
  };
  EXPECT_EQ(error(kLatents), "");
  // 1.5 pads an odd number of latent frames; whether this is such a model the file does not say.
  EXPECT_EQ(error({.name = "latents", .dtype = "BF16", .shape = {1, 3, 3, 2, 4}}), "");
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{},
                                                                             {2, 3, 2, 4},
                                                                             {1, 1, 2, 3, 2, 4},
                                                                             {2, 2, 3, 2, 4},
                                                                             {1, 4, 3, 2, 4},
                                                                             {1, 2, 0, 2, 4},
                                                                             {1, 2, 3, 3, 4},
                                                                             {1, 2, 3, 2, 5},
                                                                             {1, 0, 3, 2, 4}}) {
    EXPECT_THAT(error({.name = "latents", .dtype = "BF16", .shape = shape}),
                HasSubstr("its request wants F32, BF16 or F16 [1,2,C,2,4]"));
  }
  EXPECT_THAT(error({.name = "latents", .dtype = "I16", .shape = kLatents.shape}),
              HasSubstr("'latents' is I16 [1,2,3,2,4]"));
  EXPECT_THAT(error({.name = "latent", .dtype = "F32", .shape = kLatents.shape}),
              HasSubstr("'latent'"));
}

TEST(SavedRun, TensorsThatAreMissingTooManyOrWrongAreNamed) {
  const auto latents = latents_metadata(small_request(), kEngine);
  const auto state = state_metadata(small_request(), kEngine, 3);
  EXPECT_THAT(latents_error(file_with({kLatents, kGenerator}, latents)),
              HasSubstr("a tensor 'generator' too many"));
  EXPECT_THAT(latents_error(file_with({}, latents)), HasSubstr("no tensor 'latents'"));
  EXPECT_THAT(state_error(file_with({kLatents}, state)), HasSubstr("no tensor 'generator'"));
  EXPECT_THAT(state_error(file_with({kGenerator}, state)), HasSubstr("no tensor 'latents'"));
  StoredTensor other = kGenerator;
  other.name = "more";
  EXPECT_THAT(state_error(file_with({kLatents, kGenerator, other}, state)),
              HasSubstr("a tensor 'more' too many"));
  for (StoredTensor bad : {StoredTensor{.name = "generator", .dtype = "I8", .shape = {40}},
                           StoredTensor{.name = "generator", .dtype = "U8", .shape = {0}},
                           StoredTensor{.name = "generator", .dtype = "U8", .shape = {65537}},
                           StoredTensor{.name = "generator", .dtype = "U8", .shape = {4, 10}}}) {
    EXPECT_THAT(state_error(file_with({kLatents, bad}, state)), HasSubstr("wanted U8 [1..65536]"));
  }
  StoredTensor previous = kPrevious;
  previous.dtype = "F16";
  EXPECT_THAT(state_error(file_with({kLatents, previous, kGenerator}, state)),
              HasSubstr("'previous_x0' is F16 [1,2,3,2,4], wanted F32 [1,2,3,2,4]"));
  previous = kPrevious;
  previous.shape = {1, 2, 3, 4, 2};
  EXPECT_THAT(state_error(file_with({kLatents, previous, kGenerator}, state)),
              HasSubstr("'previous_x0' is F32 [1,2,3,4,2]"));
}

TEST(SavedRun, MetadataThatIsMissingOrNoObjectIsNamed) {
  const std::vector<StoredTensor> tensors{kLatents, kGenerator};
  const auto whole = state_metadata(small_request(), kEngine, 3);
  for (const char* key : {"cogvx_request", "cogvx_engine", "next_step"}) {
    auto metadata = whole;
    metadata.erase(key);
    EXPECT_THAT(state_error(file_with(tensors, metadata)),
                HasSubstr("its metadata holds no '" + std::string(key) + "'"));
  }
  for (const char* key : {"cogvx_request", "cogvx_engine"}) {
    for (const char* text : {"", "{", "[]", "5", "{\"a\":1,\"a\":1}"}) {
      auto metadata = whole;
      metadata[key] = text;
      EXPECT_THAT(state_error(file_with(tensors, metadata)),
                  StartsWith("saved: " + std::string(key) + ": "))
          << text;
    }
  }
  auto metadata = whole;
  metadata["cogvx_state"] = "2";
  EXPECT_THAT(state_error(file_with(tensors, metadata)), HasSubstr("state of format '2'"));
}

TEST(SavedRun, NextStepIsAPlainNumberWithinTheSteps) {
  const auto error = [](const std::string& text) {
    auto metadata = state_metadata(small_request(), kEngine, 0);
    metadata["next_step"] = text;
    return state_error(file_with({kLatents, kGenerator}, metadata));
  };
  for (const char* good : {"0", "7", "8"}) EXPECT_EQ(error(good), "") << good;
  for (const char* bad :
       {"", "9", "-1", "-0", "07", "+1", " 1", "1 ", "1e0", "99999999999999999999"}) {
    EXPECT_THAT(error(bad), HasSubstr("wanted 0 to 8")) << bad;
  }
}

}  // namespace
}  // namespace cogvx
