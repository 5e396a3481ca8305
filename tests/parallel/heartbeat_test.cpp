#include "parallel/heartbeat.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

#include "core/base/errors.h"
#include "parallel/rendezvous.h"
#include "parallel/silence_watch.h"
#include "tests/support/free_port.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using Time = SilenceWatch::Clock::time_point;

constexpr milliseconds kLimit{10'000};

// Looks once a second from `second` to `end`; `alive` ranks beat before each look.
std::optional<int> listen(SilenceWatch& watch, LifeBoard& board, int& second, int end,
                          const std::vector<int>& alive) {
  std::optional<int> missed;
  for (; second < end && !missed; ++second) {
    for (const int rank : alive) board.beat(rank);
    missed = watch.look(board, Time(std::chrono::seconds(second)));
  }
  return missed;
}

TEST(LifeBoard, KeepsAPositionWhole) {
  LifeBoard board(2);
  EXPECT_FALSE(board.position(1));
  const Progress now = {Stage::kDenoise, 999, 1000, 0.4, 12, 30};
  board.show(1, now);
  const Progress back = board.position(1).value();
  EXPECT_EQ(back.stage, now.stage);
  EXPECT_EQ(back.done, now.done);
  EXPECT_EQ(back.total, now.total);
  EXPECT_EQ(back.layer, now.layer);
  EXPECT_EQ(back.layers, now.layers);
  EXPECT_FALSE(board.position(0));
  board.show(0, {Stage::kLoad});
  EXPECT_EQ(board.position(0).value().stage, Stage::kLoad);
}

TEST(LifeBoard, ProcessesOfOneFileSeeEachOther) {
  const test::TemporaryFolder folder;
  LifeBoard board(folder / "life", 2);
  const pid_t child = fork();
  if (child == 0) {
    LifeBoard own(folder / "life", 2);
    own.beat(1);
    own.show(1, {Stage::kDecode, 1, 9});
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(board.beats(0), 0U);
  EXPECT_EQ(board.beats(1), 1U);
  EXPECT_EQ(board.position(1).value().done, 1);
}

TEST(LifeBoard, AFolderThatIsNotThereIsNamed) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(LifeBoard(folder / "no" / "life", 2), OutputError);
}

TEST(SilenceWatch, NamesTheRankThatStoppedBeatingAfterTheLimitOnly) {
  LifeBoard board(3);
  SilenceWatch watch(kLimit, {});
  int second = 0;
  EXPECT_EQ(listen(watch, board, second, 100, {0, 1, 2}), std::nullopt);
  EXPECT_EQ(listen(watch, board, second, 110, {0, 1}), std::nullopt);
  EXPECT_EQ(listen(watch, board, second, 120, {0, 1}), 2);
  EXPECT_LE(second, 112);
}

TEST(SilenceWatch, ARankThatNeverBeatIsMissedAndOneThatLeftOrWatchesIsNot) {
  LifeBoard board(3);
  SilenceWatch watch(kLimit, {.self = 1, .relay = -1});
  board.leave(0);
  int second = 0;
  EXPECT_EQ(listen(watch, board, second, 30, {}), 2);
}

TEST(SilenceWatch, ItsOwnSleepIsNoSilenceOfTheOthers) {
  LifeBoard board(2);
  SilenceWatch watch(kLimit, {});
  int second = 0;
  EXPECT_EQ(listen(watch, board, second, 5, {0, 1}), std::nullopt);
  second += 3600;
  // Both had no chance to beat before this look.
  EXPECT_EQ(listen(watch, board, second, second + 2, {}), std::nullopt);
  EXPECT_EQ(listen(watch, board, second, second + 100, {0, 1}), std::nullopt);
}

// All signs come by way of rank 0: while it is silent nothing can be said of the others.
TEST(SilenceWatch, OfSignsThatAreRelayedTheRelayIsNamedFirst) {
  LifeBoard board(3);
  SilenceWatch watch(kLimit, {.self = 2, .relay = 0});
  int second = 0;
  EXPECT_EQ(listen(watch, board, second, 20, {0, 1}), std::nullopt);
  EXPECT_EQ(listen(watch, board, second, 22, {0}), std::nullopt);
  EXPECT_EQ(listen(watch, board, second, 60, {}), 0);
}

TEST(SilenceWatch, OfSignsThatAreRelayedASilentOneIsStillNamed) {
  LifeBoard board(3);
  SilenceWatch watch(kLimit, {.self = 2, .relay = 0});
  int second = 0;
  EXPECT_EQ(listen(watch, board, second, 20, {0, 1}), std::nullopt);
  EXPECT_EQ(listen(watch, board, second, 60, {0}), 1);
  EXPECT_LE(second, 33);
}

TEST(Heartbeat, BeatsUntilItEndsInOrder) {
  const auto board = std::make_shared<LifeBoard>(1);
  {
    Heartbeat heartbeat(board, 0, {.limit = 50ms, .mirror = {}, .on_silence = [](int) {}});
    for (int i = 0; i < 1000 && board->beats(0) < 3; ++i) std::this_thread::sleep_for(10ms);
    EXPECT_GE(board->beats(0), 3U);
    EXPECT_FALSE(board->has_left(0));
  }
  EXPECT_TRUE(board->has_left(0));
}

TEST(Heartbeat, HearsOfASilentRankThroughTheStoreOnEveryOtherRank) {
  const uint16_t port = test::free_port();
  const auto server =
      Rendezvous::at_address({"127.0.0.1", port}, {.world = 3, .listens = true, .patience = 10s});
  std::shared_ptr<LifeBoard> boards[3];
  for (auto& board : boards) board = std::make_shared<LifeBoard>(3);
  std::atomic<int> named[3] = {-1, -1, -1};
  const auto beat = [&](int rank) {
    return std::make_unique<Heartbeat>(
        boards[rank], rank,
        Heartbeat::Listening{.limit = 1000ms,
                             .mirror = make_store_mirror("127.0.0.1", port, rank, 3, 250ms),
                             .on_silence = [&named, rank](int missed) { named[rank] = missed; }});
  };
  boards[0]->show(0, {Stage::kLoad});
  const auto zero = beat(0), one = beat(1);
  {
    // What rank 2 shows comes to rank 1; where it leaves in order nobody misses it.
    boards[2]->show(2, {Stage::kDenoise, 3, 6});
    const auto two = beat(2);
    for (int i = 0; i < 1000 && !boards[1]->position(2); ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(boards[1]->position(2));
    EXPECT_EQ(boards[1]->position(2)->done, 3);
  }
  std::this_thread::sleep_for(2000ms);
  EXPECT_EQ(named[0], -1);
  EXPECT_EQ(named[1], -1);
  // A sign that is older than all that rank 2 gave: as if it stood still.
  const auto mirror = make_store_mirror("127.0.0.1", port, 2, 3, 250ms);
  boards[2]->put(2, {.beats = 1, .position = 0});
  mirror->exchange(*boards[2]);
  for (int i = 0; i < 1000 && (named[0] < 0 || named[1] < 0); ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(named[0], 2);
  EXPECT_EQ(named[1], 2);
}

// An exchange that never returns.
class StuckMirror final : public LifeMirror {
 public:
  void exchange(LifeBoard&) noexcept override { std::this_thread::sleep_for(24h); }
};

TEST(Heartbeat, NamesTheRelayWhereAnExchangeWithItNeverEnds) {
  std::atomic<int> named = -1;
  Heartbeat heartbeat(std::make_shared<LifeBoard>(3), 1,
                      {.limit = 200ms,
                       .mirror = std::make_unique<StuckMirror>(),
                       .on_silence = [&](int missed) { named = missed; }});
  for (int i = 0; i < 1000 && named < 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(named, 0);
}

}  // namespace
}  // namespace cogvx
