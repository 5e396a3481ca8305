#include "app/launch_environment.h"

#include <gmock/gmock.h>

#include <map>

#include "core/base/errors.h"

namespace cogvx::app {
namespace {

using testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

std::optional<LaunchPlace> place_in(const Variables& variables,
                                    const std::string& launcher = "auto") {
  return find_place(
      [&](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return std::nullopt;
        return found->second;
      },
      launcher);
}

std::string complaint(const Variables& variables, const std::string& launcher = "auto") {
  try {
    place_in(variables, launcher);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

Variables joined(Variables a, const Variables& b) {
  a.insert(b.begin(), b.end());
  return a;
}

const Variables kSupervisor = {
    {"COGVX_MEETING_FILE", "/tmp/m"}, {"COGVX_RANK", "1"}, {"COGVX_WORLD_SIZE", "3"}};
const Variables kTorchrun = {{"RANK", "5"},
                             {"WORLD_SIZE", "8"},
                             {"LOCAL_WORLD_SIZE", "4"},
                             {"MASTER_ADDR", "node1"},
                             {"MASTER_PORT", "29500"}};
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "2"},
                            {"OMPI_COMM_WORLD_SIZE", "4"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                            {"PMIX_NAMESPACE", "77"}};
const Variables kSlurm = {{"SLURM_STEP_NUM_TASKS", "6"}, {"SLURM_PROCID", "3"},
                          {"SLURM_STEP_NUM_NODES", "1"}, {"SLURM_JOB_ID", "1234"},
                          {"SLURM_STEP_ID", "0"},        {"SLURM_STEP_NODELIST", "gpu[03-04]"}};

TEST(LaunchEnvironment, EveryLauncherTellsRankAndWorld) {
  struct Case {
    Variables variables;
    int rank, world, local_world;
    bool by_file;
  };
  for (const Case& c : {Case{kSupervisor, 1, 3, 3, true}, Case{kTorchrun, 5, 8, 4, false},
                        Case{kOpenMpi, 2, 4, 4, true}, Case{kSlurm, 3, 6, 6, true}}) {
    const auto place = place_in(c.variables);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->rank, c.rank);
    EXPECT_EQ(place->world, c.world);
    EXPECT_EQ(place->local_world, c.local_world);
    EXPECT_EQ(!place->meeting_file.empty(), c.by_file);
  }
  EXPECT_TRUE(place_in(kSupervisor)->supervised);
  EXPECT_EQ(place_in(kTorchrun)->address.host, "node1");
  EXPECT_EQ(place_in(kTorchrun)->address.port, 29500);
}

TEST(LaunchEnvironment, TheFirstThatSpeaksIsHeard) {
  Variables all = joined(kSlurm, {});
  EXPECT_EQ(place_in(all)->rank, 3);
  all = joined(kOpenMpi, all);
  EXPECT_EQ(place_in(all)->rank, 2);
  all = joined(kTorchrun, all);
  EXPECT_EQ(place_in(all)->rank, 5);
  all = joined(kSupervisor, all);
  EXPECT_EQ(place_in(all)->rank, 1);
}

// Batch scripts set them for programs that take their rank from Slurm.
TEST(LaunchEnvironment, AWorldSizeWithoutARankDoesNotSpeakOverAnother) {
  const Variables batch = {{"WORLD_SIZE", "6"}, {"MASTER_ADDR", "gpu03"}, {"MASTER_PORT", "29500"}};
  EXPECT_EQ(place_in(joined(batch, kSlurm))->rank, 3);
  EXPECT_EQ(place_in(joined(batch, kOpenMpi))->rank, 2);
  EXPECT_THAT(complaint(batch), HasSubstr("RANK is not set"));
}

TEST(LaunchEnvironment, TheNetworkToBeUsedMayBeNamed) {
  EXPECT_EQ(place_in(kSlurm)->interface, "");
  EXPECT_EQ(place_in(joined({{"GLOO_SOCKET_IFNAME", "ib0"}}, kSlurm))->interface, "ib0");
}

TEST(LaunchEnvironment, NobodyIsHeardWhereNobodyStartedItOrItIsNotToLook) {
  EXPECT_FALSE(place_in({}));
  for (const char* launcher : {"none", "spawn"}) {
    EXPECT_FALSE(place_in(kTorchrun, launcher));
    EXPECT_FALSE(place_in(kSlurm, launcher));
    // What our own supervisor started is its, whatever the flags it hands on.
    EXPECT_TRUE(place_in(kSupervisor, launcher));
  }
  // A batch script inside an allocation, and a step of one task.
  EXPECT_FALSE(place_in({{"SLURM_JOB_ID", "1"}, {"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}}));
  EXPECT_FALSE(place_in({{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}}));
  EXPECT_THAT(complaint({}, "env"), HasSubstr("--launcher env"));
}

TEST(LaunchEnvironment, WhatIsMissingOrNoNumberIsNamed) {
  const auto without = [](Variables variables, const char* name) {
    variables.erase(name);
    return complaint(variables);
  };
  EXPECT_THAT(without(kTorchrun, "WORLD_SIZE"), HasSubstr("WORLD_SIZE is not set"));
  EXPECT_THAT(without(kTorchrun, "RANK"), HasSubstr("RANK is not set"));
  EXPECT_THAT(without(kTorchrun, "MASTER_ADDR"), HasSubstr("MASTER_ADDR is not set"));
  EXPECT_THAT(without(kTorchrun, "MASTER_PORT"), HasSubstr("MASTER_PORT is not set"));
  EXPECT_THAT(without(kOpenMpi, "OMPI_COMM_WORLD_SIZE"), HasSubstr("OMPI_COMM_WORLD_SIZE"));
  EXPECT_THAT(without(kOpenMpi, "PMIX_NAMESPACE"), HasSubstr("PMIX_NAMESPACE is not set"));
  EXPECT_THAT(without(kSlurm, "SLURM_PROCID"), HasSubstr("SLURM_PROCID is not set"));
  EXPECT_THAT(complaint(joined({{"RANK", "8"}}, kTorchrun)),
              HasSubstr("torchrun: RANK is '8', wanted 0 to 7"));
  EXPECT_THAT(complaint(joined({{"SLURM_PROCID", "x"}}, kSlurm)), HasSubstr("Slurm"));
}

TEST(LaunchEnvironment, JobsOfOneMachineMeetAtPlacesOfTheirOwn) {
  EXPECT_EQ(place_in(kSlurm)->meeting_file,
            place_in(joined({{"SLURM_PROCID", "0"}}, kSlurm))->meeting_file);
  EXPECT_NE(place_in(kSlurm)->meeting_file,
            place_in(joined({{"SLURM_STEP_ID", "1"}}, kSlurm))->meeting_file);
  EXPECT_NE(place_in(kOpenMpi)->meeting_file,
            place_in(joined({{"PMIX_NAMESPACE", "78"}}, kOpenMpi))->meeting_file);
}

TEST(LaunchEnvironment, OnSeveralMachinesTheAddressIsGivenOrFollowsFromTheJob) {
  const Variables slurm = joined({{"SLURM_STEP_NUM_NODES", "2"}}, kSlurm);
  const auto place = place_in(slurm);
  EXPECT_EQ(place->address.host, "gpu03");
  EXPECT_EQ(place->local_world, 3);
  EXPECT_GE(place->address.port, 15000);
  EXPECT_EQ(place_in(joined({{"SLURM_PROCID", "0"}}, slurm))->address.port, place->address.port);
  const auto given =
      place_in(joined({{"MASTER_ADDR", "other"}, {"MASTER_PORT", "4000"}}, slurm))->address;
  EXPECT_EQ(given.host, "other");
  EXPECT_EQ(given.port, 4000);
  const Variables mpi = joined({{"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}, kOpenMpi);
  EXPECT_THAT(complaint(mpi), HasSubstr("MASTER_ADDR is not set"));
  EXPECT_EQ(place_in(joined({{"MASTER_ADDR", "node1"}}, mpi))->address.host, "node1");
}

TEST(LaunchEnvironment, TorchrunsAgentMayListenInsteadOfRankZero) {
  EXPECT_FALSE(place_in(kTorchrun)->launcher_listens);
  const auto place = place_in(joined(
      {{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "2"}}, kTorchrun));
  EXPECT_TRUE(place->launcher_listens);
  EXPECT_EQ(place->attempt, "2");
}

TEST(LaunchEnvironment, TheFirstHostOfASlurmList) {
  EXPECT_EQ(first_host("node1"), "node1");
  EXPECT_EQ(first_host("node1,node2"), "node1");
  EXPECT_EQ(first_host("gpu[03-07,9],big1"), "gpu03");
  EXPECT_EQ(first_host("gpu[5,9]"), "gpu5");
  EXPECT_EQ(first_host("gpu[12]"), "gpu12");
  EXPECT_EQ(first_host("rack[1-2]-gpu[03,07-09],big1"), "rack1-gpu03");
}

}  // namespace
}  // namespace cogvx::app
