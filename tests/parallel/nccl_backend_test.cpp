#include "parallel/nccl_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "core/base/errors.h"
#include "parallel/nccl_group.h"
#include "tests/parallel/recording_backend.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;

using namespace test;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

template <typename Error>
std::string refusal_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(NcclBackends, ComeFromTheLibraryBesideThePlugin) {
  const TemporaryFolder folder;
  fs::copy_file(COGVX_FAKE_NCCL, folder / "libcogvx_nccl.so");
  const MakeBackend make = nccl_backends(folder.path(), 3);
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto backend = make(store, {"sequence-1", 2, 4});
  EXPECT_EQ(backend->getBackendName(), "sequence-1 on 3");
  EXPECT_EQ(backend->getRank(), 2);
  EXPECT_EQ(backend->getSize(), 4);
  EXPECT_EQ(backend.use_count(), 1u);
  EXPECT_EQ(store.use_count(), 1u);
  EXPECT_EQ(store->get("sequence-1").size(), 4u);
  EXPECT_THAT(
      refusal_of<DistributedError>([&] {
        make(store, {"refused", 1, 2});
      }),
      AllOf(HasSubstr("group 'refused', rank 1 of 2: NCCL does not start on GPU 3: no link; "),
            Not(HasSubstr("\n"))));
}

TEST(NcclBackends, ALibraryThatIsNotThereOrIsAnotherIsNoDevice) {
  const TemporaryFolder folder;
  const auto refusal = [&] {
    return refusal_of<DeviceError>([&] { nccl_backends(folder.path(), 0); });
  };
  EXPECT_THAT(refusal(), AllOf(HasSubstr("libcogvx_nccl.so' cannot be loaded: "),
                               HasSubstr("or run on one GPU"), Not(HasSubstr("\n"))));
  fs::copy_file(COGVX_EMPTY_PLUGIN, folder / "libcogvx_nccl.so");
  EXPECT_THAT(refusal(), HasSubstr("has no cogvx_make_nccl_group; build it again"));
}

TEST(NcclBackends, C10dsOwnDeadlinesAndRecordsAreOffBeforeItStarts) {
  const TemporaryFolder folder;
  fs::copy_file(COGVX_FAKE_NCCL, folder / "libcogvx_nccl.so");
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 1);
  nccl_backends(folder.path(), 0);
  for (const auto& [name, value] : nccl_environment()) {
    const char* found = std::getenv(name.c_str());
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found, value) << name;
  }
}

// Two processes as two threads.
void run_two(const std::function<void(const Rendezvous&, int)>& member) {
  // As the program does: Gloo writes to sockets whose other end may have gone.
  std::signal(SIGPIPE, SIG_IGN);
  const TemporaryFolder folder;
  const fs::path file = folder / "meeting";
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] { member(Rendezvous::by_file(file, 2, 60s), rank); });
  for (std::thread& thread : threads) thread.join();
}

TEST(MakeDeviceGroup, HasMovedBytesBetweenAllMembersWhenItIsThere) {
  run_two([](const Rendezvous& meeting, int rank) {
    const auto mover = meeting.make_gloo_group({"mover", rank, 2});
    c10::intrusive_ptr<RecordingBackend> backend;
    const MakeBackend make = [&](const c10::intrusive_ptr<c10d::Store>& store,
                                 const GroupPlace& place) {
      store->set("is-its-own", "yes");
      backend = c10::make_intrusive<RecordingBackend>(
          place.rank, place.size, RecordingBackend::Parts{.name = place.name, .mover = &*mover});
      return backend;
    };
    const auto group = meeting.make_device_group({"world", rank, 2}, make, {.device = at::kCPU});
    EXPECT_EQ(group->rank(), rank);
    EXPECT_EQ(backend->last_send_splits, Splits({1, 1}));
    group->barrier();
  });
}

TEST(MakeDeviceGroup, ABackendThatNeverMovesAByteIsOutOfPatience) {
  run_two([](const Rendezvous& meeting, int rank) {
    const MakeBackend make = [&](const auto&, const GroupPlace& place) {
      const auto backend = c10::make_intrusive<RecordingBackend>(
          place.rank, place.size, RecordingBackend::Parts{.name = place.name});
      backend->set_script({.lasts = 1h});
      return backend;
    };
    EXPECT_THAT(
        refusal_of<DistributedError>([&] {
          meeting.make_device_group({"world", rank, 2}, make, {.device = at::kCPU, .patience = 1s});
        }),
        HasSubstr("all-to-all (operation 1) has not ended after 1 s"));
  });
}

TEST(MakeDeviceGroup, OneProcessNeedsNoBackend) {
  const TemporaryFolder folder;
  const auto group = Rendezvous::by_file(folder / "meeting", 1, 60s)
                         .make_device_group({"world", 0, 1}, {}, {.device = at::kCPU});
  const at::Tensor send = at::full({3}, 7, at::kByte), recv = at::full({3}, 0, at::kByte);
  group->all_to_all(send, {3}, recv, {3});
  EXPECT_TRUE(at::equal(recv, send));
}

}  // namespace
}  // namespace cogvx
