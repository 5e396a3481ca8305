#include "core/weights/weight_map.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/read_file.h"
#include "core/weights/checkpoint.h"
#include "tests/core/weights/written_tensors.h"
#include "tests/support/golden.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;

constexpr const char* kStem = "model";

Tensors some_tensors() {
  const at::Tensor x = at::linspace(-3, 7, 24, at::kFloat).view({4, 6});
  return {{"wide", x},
          {"half", (x * 1.37).to(at::kHalf)},
          {"brain", (x * 0.71).to(at::kBFloat16)},
          // One byte of nothing would do: three halves put the next tensor off every alignment.
          {"odd", x.flatten().narrow(0, 0, 3).to(at::kBFloat16).clone()},
          {"last", x.t().contiguous()}};
}

void write_single(const TemporaryFolder& folder) {
  write_tensors(folder / "model.safetensors", some_tensors());
}

void write_index(const TemporaryFolder& folder, const nlohmann::json& weight_map) {
  write_text(folder / "model.safetensors.index.json",
             nlohmann::json{{"metadata", {}}, {"weight_map", weight_map}}.dump());
}

void write_shards(const TemporaryFolder& folder) {
  const Tensors all = some_tensors();
  write_tensors(folder / "one.safetensors", {all[4], all[1]});
  write_tensors(folder / "two.safetensors", {all[3], all[0], all[2]});
  write_index(folder, {{"wide", "two.safetensors"},
                       {"half", "one.safetensors"},
                       {"brain", "two.safetensors"},
                       {"odd", "two.safetensors"},
                       {"last", "one.safetensors"}});
}

// The same names and shapes, so that the header stays; what has the file mapped sees it change.
void overwrite_in_place(const std::filesystem::path& path, const Tensors& tensors) {
  const TemporaryFolder other;
  write_tensors(other / "changed", tensors);
  const std::string bytes = read_file(other / "changed", size_t{1} << 20);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string map_error(const TemporaryFolder& folder) {
  return data_error([&] { WeightMap(folder.path(), kStem); });
}

TEST(WeightMap, TakesEveryDtypeFromOneFileOrShards) {
  for (const bool shards : {false, true}) {
    const TemporaryFolder folder;
    shards ? write_shards(folder) : write_single(folder);
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      WeightMap weights(folder.path(), kStem);
      for (const auto& [name, tensor] : some_tensors()) {
        EXPECT_TRUE(weights.contains(name));
        EXPECT_TRUE(same_bytes(weights.take(name, tensor.sizes(), dtype), tensor.to(dtype)))
            << name;
      }
      weights.finish();
    }
  }
}

TEST(WeightMap, WhatIsLentHasTheNumbersOfWhatIsTaken) {
  for (const bool shards : {false, true}) {
    const TemporaryFolder folder;
    shards ? write_shards(folder) : write_single(folder);
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      WeightMap taken(folder.path(), kStem), lent(folder.path(), kStem);
      lent.read_ahead("");
      for (const auto& [name, tensor] : some_tensors()) {
        EXPECT_TRUE(same_bytes(lent.lend(name, tensor.sizes(), dtype),
                               taken.take(name, tensor.sizes(), dtype)))
            << name;
        EXPECT_THROW(lent.lend(name, tensor.sizes(), dtype), std::logic_error);
      }
      lent.finish();
      EXPECT_EQ(lent.content_sha256(), taken.content_sha256());
    }
  }
}

// Where numbers follow those on disk, they lie in the file.
TEST(WeightMap, OnlyWhatIsLentUnchangedLiesInTheFile) {
  const TemporaryFolder folder;
  write_single(folder);
  const auto of_new_map = [&](auto call, at::ScalarType dtype) {
    WeightMap weights(folder.path(), kStem);
    return (weights.*call)("wide", {4, 6}, dtype);
  };
  const at::Tensor lent = of_new_map(&WeightMap::lend, at::kFloat);
  const at::Tensor converted = of_new_map(&WeightMap::lend, at::kBFloat16);
  const at::Tensor taken = of_new_map(&WeightMap::take, at::kFloat);
  Tensors doubled = some_tensors();
  for (auto& [name, tensor] : doubled) tensor = tensor * 2;
  overwrite_in_place(folder / "model.safetensors", doubled);
  EXPECT_TRUE(same_bytes(lent, doubled[0].second));
  EXPECT_TRUE(same_bytes(converted, some_tensors()[0].second.to(at::kBFloat16)));
  EXPECT_TRUE(same_bytes(taken, some_tensors()[0].second));
}

TEST(WeightMap, TakesHalvesOfEveryKindExactly) {
  const TemporaryFolder folder;
  const at::Tensor bits = at::arange(65536, at::kInt).to(at::kShort);
  const auto finite = [](const at::Tensor& numbers) {
    return numbers.masked_select(numbers.isfinite());
  };
  const at::Tensor half = finite(bits.view(at::kHalf));
  const at::Tensor brain = finite(bits.view(at::kBFloat16));
  write_tensors(folder / "model.safetensors", {{"half", half}, {"brain", brain}});
  WeightMap weights(folder.path(), kStem);
  EXPECT_TRUE(same_bytes(weights.take("half", half.sizes(), at::kFloat), half.to(at::kFloat)));
  EXPECT_TRUE(same_bytes(weights.take("brain", brain.sizes(), at::kFloat), brain.to(at::kFloat)));
}

TEST(WeightMap, ATensorOutlivesItsMap) {
  const TemporaryFolder folder;
  write_single(folder);
  at::Tensor wide, last;
  {
    WeightMap weights(folder.path(), kStem);
    wide = weights.take("wide", {4, 6}, at::kFloat);
    last = weights.lend("last", {6, 4}, at::kFloat);
  }
  EXPECT_TRUE(same_bytes(wide, some_tensors()[0].second));
  EXPECT_TRUE(same_bytes(last, some_tensors()[4].second));
}

TEST(WeightMap, AMissingTensorIsNamedWithItsShape) {
  const TemporaryFolder folder;
  write_single(folder);
  WeightMap weights(folder.path(), kStem);
  const std::string error = data_error([&] { weights.take("absent", {3, 5}, at::kFloat); });
  EXPECT_THAT(error, HasSubstr("'absent' [3,5] is missing"));
}

TEST(WeightMap, ATensorOfAnotherShapeIsNamedWithBothShapes) {
  const TemporaryFolder folder;
  write_single(folder);
  WeightMap weights(folder.path(), kStem);
  const std::string error = data_error([&] { weights.take("wide", {6, 4}, at::kFloat); });
  EXPECT_THAT(error, HasSubstr("'wide' is [4,6], this model wants [6,4]"));
  EXPECT_NO_THROW(weights.take("wide", {4, 6}, at::kFloat)) << "a refused tensor is not used up";
}

TEST(WeightMap, ATensorTakenTwiceIsAnError) {
  const TemporaryFolder folder;
  write_single(folder);
  WeightMap weights(folder.path(), kStem);
  weights.take("wide", {4, 6}, at::kFloat);
  EXPECT_THROW(weights.take("wide", {4, 6}, at::kFloat), std::logic_error);
}

TEST(WeightMap, LeftOverTensorsAreNamedUnlessIgnored) {
  const TemporaryFolder folder;
  write_single(folder);
  WeightMap weights(folder.path(), kStem);
  weights.take("wide", {4, 6}, at::kFloat);
  weights.ignore("half");
  weights.ignore("not there at all");
  const std::string error = data_error([&] { weights.finish(); });
  EXPECT_THAT(error, HasSubstr("3 tensors are left over"));
  for (const char* name : {"'brain'", "'last'", "'odd'"}) EXPECT_THAT(error, HasSubstr(name));
  weights.ignore_prefix("brai");
  weights.ignore_prefix("last");
  EXPECT_THAT(data_error([&] { weights.finish(); }), HasSubstr("1 tensors are left over"));
  weights.ignore_prefix("odd");
  EXPECT_NO_THROW(weights.finish());
}

TEST(WeightMap, WholeNumbersAreNoWeights) {
  const TemporaryFolder folder;
  write_tensors(folder / "model.safetensors", {{"ids", at::arange(4, at::kLong)}});
  WeightMap weights(folder.path(), kStem);
  EXPECT_THAT(data_error([&] { weights.take("ids", {4}, at::kFloat); }), HasSubstr("'ids' is I64"));
}

TEST(WeightMap, TheContentHashKnowsContentsNotFiles) {
  const auto hash = [](const TemporaryFolder& folder, at::ScalarType dtype) {
    WeightMap weights(folder.path(), kStem);
    for (const auto& [name, tensor] : some_tensors()) weights.take(name, tensor.sizes(), dtype);
    return weights.content_sha256();
  };
  const TemporaryFolder single, shards, changed;
  write_single(single);
  write_shards(shards);
  Tensors tensors = some_tensors();
  tensors[2].second = tensors[2].second.clone();
  tensors[2].second[1][1] = 99;
  write_tensors(changed / "model.safetensors", tensors);
  const std::string wanted = hash(single, at::kFloat);
  EXPECT_EQ(wanted.size(), 64U);
  EXPECT_EQ(hash(shards, at::kFloat), wanted);
  EXPECT_EQ(hash(single, at::kBFloat16), wanted) << "the stored bytes count, not the converted";
  EXPECT_NE(hash(changed, at::kFloat), wanted);
}

TEST(WeightMap, APatchChangesWhatIsTakenAndNotTheContentHash) {
  const TemporaryFolder folder;
  write_single(folder);
  WeightMap plain(folder.path(), kStem), patched(folder.path(), kStem);
  std::vector<std::string> seen;
  patched.set_patch([&](const std::string& name, at::Tensor& tensor) {
    seen.push_back(name + " " + at::toString(tensor.scalar_type()));
    tensor.add_(1);
  });
  const at::Tensor wanted = plain.take("half", {4, 6}, at::kBFloat16).add(1);
  EXPECT_TRUE(same_bytes(patched.take("half", {4, 6}, at::kBFloat16), wanted));
  const at::Tensor wide = plain.take("wide", {4, 6}, at::kFloat).add(1);
  EXPECT_TRUE(same_bytes(patched.lend("wide", {4, 6}, at::kFloat), wide));
  EXPECT_THAT(seen, testing::ElementsAre("half BFloat16", "wide Float"));
  EXPECT_EQ(patched.content_sha256(), plain.content_sha256());
}

TEST(WeightMap, ItsShapesAreThoseOfAllTensors) {
  const TemporaryFolder folder;
  write_shards(folder);
  const TensorShapes wanted{
      {"wide", {4, 6}}, {"half", {4, 6}}, {"brain", {4, 6}}, {"odd", {3}}, {"last", {6, 4}}};
  EXPECT_EQ(WeightMap(folder.path(), kStem).shapes(), wanted);
}

TEST(WeightMap, TheStoredDtypeIsThatOfMostBytes) {
  const TemporaryFolder folder;
  write_single(folder);
  EXPECT_EQ(WeightMap(folder.path(), kStem).stored_dtype(), "F32");
  const TemporaryFolder halves;
  write_tensors(halves / "model.safetensors",
                {some_tensors()[0], {"big", at::zeros({99}, at::kHalf)}});
  EXPECT_EQ(WeightMap(halves.path(), kStem).stored_dtype(), "F16");
}

TEST(WeightMap, MissingFilesAreNamed) {
  const TemporaryFolder folder;
  EXPECT_THAT(map_error(folder), HasSubstr("model.safetensors: no such file"));
  EXPECT_THAT(data_error([&] { WeightMap(folder / "absent", kStem); }),
              HasSubstr("absent: no such folder"));
  write_shards(folder);
  std::filesystem::remove(folder / "two.safetensors");
  EXPECT_THAT(map_error(folder), HasSubstr("two.safetensors: no such file"));
}

TEST(WeightMap, AnIndexThatLiesIsADataError) {
  const TemporaryFolder folder;
  write_shards(folder);
  write_index(folder, {{"wide", "one.safetensors"}, {"odd", "two.safetensors"}});
  EXPECT_THAT(map_error(folder), HasSubstr("'wide' is said to be in one.safetensors"));
  write_index(folder, {{"new", "one.safetensors"}});
  EXPECT_THAT(map_error(folder), HasSubstr("'new' is said to be in one.safetensors"));
  write_index(folder, {{"wide", "../one.safetensors"}});
  EXPECT_THAT(map_error(folder), HasSubstr("wanted a file name in this folder"));
}

TEST(WeightMap, ATensorInTwoShardsIsADataError) {
  const TemporaryFolder folder;
  const Tensors all = some_tensors();
  write_tensors(folder / "one.safetensors", {all[0], all[1]});
  write_tensors(folder / "two.safetensors", {all[0]});
  write_index(folder, {{"half", "one.safetensors"}, {"wide", "two.safetensors"}});
  EXPECT_THAT(map_error(folder), HasSubstr("tensor 'wide' is in"));
}

TEST(WeightMap, NaNAndInfinityAreDataErrorsThatNameFileTensorAndCount) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const auto& [name, tensor] : some_tensors()) {
    for (const double bad : {infinity, -infinity, std::nan("")}) {
      const TemporaryFolder folder;
      const at::Tensor changed = tensor.clone();
      changed.flatten()[2] = bad;
      write_tensors(folder / "model.safetensors", {{name, changed}});
      WeightMap weights(folder.path(), kStem);
      EXPECT_EQ(data_error([&, n = name] { weights.take(n, changed.sizes(), at::kFloat); }),
                (folder / "model.safetensors").string() + ": tensor '" + name +
                    "' holds 1 NaN or infinite values of " + std::to_string(changed.numel()) +
                    "; is the file damaged?");
    }
  }
}

TEST(WeightMap, PathsTheSystemRefusesAreDataErrors) {
  const std::filesystem::path longest(std::string(5000, 'x'));
  EXPECT_THAT(data_error([&] { WeightMap(longest, kStem); }), HasSubstr("File name too long"));
  EXPECT_THAT(data_error([&] { open_checkpoint(longest); }), HasSubstr("File name too long"));
  const TemporaryFolder folder;
  std::filesystem::create_symlink("model.safetensors", folder / "model.safetensors");
  EXPECT_THAT(map_error(folder), HasSubstr("Too many levels of symbolic links"));
  const std::string index = "model.safetensors.index.json";
  std::filesystem::create_symlink(index, folder / index);
  EXPECT_THAT(map_error(folder), HasSubstr(index + ": cannot be opened: Too many levels"));
}

TEST(WeightMap, PipesAndFoldersInPlaceOfFilesAreDataErrors) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "model.safetensors");
  EXPECT_THAT(map_error(folder), HasSubstr("is there, but is no file"));
  std::filesystem::remove(folder / "model.safetensors");
  ASSERT_EQ(mkfifo((folder / "model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(map_error(folder), HasSubstr("is there, but is no file"));
  ASSERT_EQ(mkfifo((folder / "model.safetensors.index.json").c_str(), 0600), 0);
  EXPECT_THAT(map_error(folder), HasSubstr("is not a regular file"));
  EXPECT_THAT(data_error([&] { MappedFile(folder / "model.safetensors"); }),
              HasSubstr("is not a regular file"));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(MappedFileDeathTest, AFileTheAddressSpaceHasNoRoomForIsAMemoryError) {
  const TemporaryFolder folder;
  write_text(folder / "sparse", "");
  std::filesystem::resize_file(folder / "sparse", uintmax_t{1} << 40);
  const auto map = [&] {
    const rlimit room{rlim_t{1} << 39, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &room);
    try {
      MappedFile(folder / "sparse");
    } catch (const MemoryError& error) {
      std::fprintf(stderr, "%s", error.what());
      std::_Exit(5);
    }
  };
  EXPECT_EXIT(map(), testing::ExitedWithCode(5), "no room to map its 1099511627776 bytes");
}
#endif

TEST(WeightMap, ACutFileIsFoundBeforeAnythingIsTaken) {
  const TemporaryFolder folder;
  write_single(folder);
  std::filesystem::resize_file(folder / "model.safetensors",
                               std::filesystem::file_size(folder / "model.safetensors") - 1);
  EXPECT_THAT(map_error(folder), HasSubstr("is the download complete?"));
}

}  // namespace
}  // namespace cogvx
