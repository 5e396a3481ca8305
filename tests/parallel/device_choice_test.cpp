#include "parallel/device_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/base/errors.h"
#include "tests/parallel/thread_group.h"

namespace cogvx {
namespace {

using namespace test;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Optional;

using Variable = std::optional<std::string>;

std::string refusal_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

std::vector<CudaDevice> devices(int count) {
  std::vector<CudaDevice> all;
  for (int i = 0; i < count; ++i)
    all.push_back({.index = i, .name = "GPU", .compute_major = 9, .supported = true});
  return all;
}

TEST(VisibleEntries, AreIndicesAndUuids) {
  EXPECT_EQ(visible_entries({}), std::nullopt);
  EXPECT_THAT(visible_entries(""), Optional(IsEmpty()));
  EXPECT_THAT(visible_entries(" "), Optional(IsEmpty()));
  EXPECT_THAT(visible_entries("3"), Optional(ElementsAre("3")));
  EXPECT_THAT(visible_entries(" 3, 1 "), Optional(ElementsAre("3", "1")));
  EXPECT_THAT(visible_entries("0,"), Optional(ElementsAre("0", "")));
  EXPECT_THAT(visible_entries("GPU-8932f937,MIG-1/2"),
              Optional(ElementsAre("GPU-8932f937", "MIG-1/2")));
}

TEST(ChooseDevice, IsTheLocalRankAmongTheVisibleOnes) {
  struct Case {
    const char* name;
    int visible;
    LocalPlace place;
    Variable variable;
    int wanted;
  };
  for (const Case& c :
       {Case{"one process", 8, {0, 1}, {}, 0}, Case{"all of them", 8, {7, 8}, {}, 7},
        Case{"fewer than GPUs", 8, {2, 4}, {}, 2},
        // CUDA has put them in this order already: entry 1 is device 1.
        Case{"indices", 2, {1, 2}, "3,1", 1}, Case{"uuids", 2, {1, 2}, "GPU-aa,GPU-bb", 1},
        Case{"one for each process", 1, {5, 8}, "5", 0},
        Case{"one for each process, by uuid", 1, {3, 4}, "GPU-dd", 0}}) {
    EXPECT_EQ(choose_device(devices(c.visible), c.place, c.variable), c.wanted) << c.name;
  }
}

TEST(ChooseDevice, TooFewAreRefusedAndTheReasonIsNamed) {
  const auto refusal = [](int visible, const LocalPlace& place, const Variable& variable) {
    return refusal_of([&] { choose_device(devices(visible), place, variable); });
  };
  EXPECT_THAT(
      refusal(2, {0, 4}, {}),
      AllOf(HasSubstr("shows 2 GPUs (CUDA_VISIBLE_DEVICES is not set) and runs 4 processes, "
                      "wanted a GPU for each; "),
            Not(HasSubstr("\n"))));
  EXPECT_THAT(refusal(2, {3, 4}, "0,1"), HasSubstr("(CUDA_VISIBLE_DEVICES is '0,1')"));
  EXPECT_THAT(refusal(2, {3, 4}, "0,1,9,2"),
              HasSubstr("is '0,1,9,2', of which CUDA finds no device for '9' and what follows"));
}

TEST(CheckDevice, OldOnesAndThoseWithoutCodeAreRefused) {
  CudaDevice device = devices(2)[1];
  EXPECT_NO_THROW(check_device(device));
  device.compute_major = 8;
  EXPECT_NO_THROW(check_device(device));
  device.supported = false;
  EXPECT_THAT(
      refusal_of([&] { check_device(device); }),
      HasSubstr("GPU 1, 'GPU', has compute capability 8.0, for which this build has no code"));
  // Whatever the plugin was built for.
  device.supported = true;
  device.compute_major = 7;
  device.compute_minor = 5;
  EXPECT_THAT(refusal_of([&] { check_device(device); }),
              HasSubstr("has compute capability 7.5, wanted 8.0 or newer; "));
}

TEST(CheckOneRankPerGpu, TwoRanksOnOneAreNamed) {
  EXPECT_NO_THROW(check_one_rank_per_gpu({{"a", "GPU-1"}}));
  EXPECT_NO_THROW(check_one_rank_per_gpu({{"a", "GPU-1"}, {"a", "GPU-2"}, {"b", "GPU-3"}}));
  const std::string text = refusal_of([] {
    check_one_rank_per_gpu({{"a", "GPU-1"}, {"a", "GPU-2"}, {"b", "GPU-3"}, {"a", "GPU-2"}});
  });
  EXPECT_THAT(text, AllOf(HasSubstr("ranks 1 and 3 are both on GPU GPU-2 of host a, wanted one"),
                          HasSubstr("CUDA_VISIBLE_DEVICES"), Not(HasSubstr("\n"))));
}

TEST(CheckOneRankPerGpu, ContainersOfOneMachineAreNoTwoMachines) {
  EXPECT_THROW(check_one_rank_per_gpu({{"a", "GPU-1"}, {"b", "GPU-1"}}), DeviceError);
}

TEST(GatherGpuPlaces, EveryRankLearnsOfAllAndRefusesTheSame) {
  std::atomic<int> refused{0};
  run_ranks(3, [&](Group& world) {
    const GpuPlace own{"host-" + std::to_string(world.rank()),
                       world.rank() == 1 ? "GPU-b" : "GPU-a"};
    const std::vector<GpuPlace> places = gather_gpu_places(world, own);
    EXPECT_THAT(places, ElementsAre(GpuPlace{"host-0", "GPU-a"}, GpuPlace{"host-1", "GPU-b"},
                                    GpuPlace{"host-2", "GPU-a"}));
    refused +=
        refusal_of([&] { check_one_rank_per_gpu(places); }).starts_with("CUDA: ranks 0 and 2");
  });
  EXPECT_EQ(refused, 3);
}

TEST(GatherGpuPlaces, LongNamesAreCut) {
  SingleGroup alone;
  const auto places = gather_gpu_places(alone, {std::string(300, 'h'), std::string(300, 'u')});
  EXPECT_THAT(places, ElementsAre(GpuPlace{std::string(255, 'h'), std::string(63, 'u')}));
}

}  // namespace
}  // namespace cogvx
