#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <semaphore>
#include <thread>

#include "parallel/rendezvous.h"
#include "tests/support/test_paths.h"

namespace cogvx::bench {

// Times `make(group)()`, made once on each of two ranks and called by both in every iteration. They
// are threads; to Gloo they are processes that talk over the loopback device.
inline void run_two_ranks(benchmark::State& state,
                          const std::function<std::function<void()>(Group&)>& make) {
  std::signal(SIGPIPE, SIG_IGN);
  const test::TemporaryFolder folder;
  std::counting_semaphore<> turns(0);
  bool over = false;
  const auto join = [&](int rank) {
    const Rendezvous meeting =
        Rendezvous::by_file(folder / "meeting", /*world=*/2, std::chrono::seconds(20));
    return meeting.make_gloo_group({"all", rank, 2});
  };
  std::thread other([&] {
    const std::unique_ptr<Group> group = join(1);
    const std::function<void()> turn = make(*group);
    for (turns.acquire(); !over; turns.acquire()) turn();
  });
  const std::unique_ptr<Group> group = join(0);
  const std::function<void()> turn = make(*group);
  for (auto iteration : state) {
    turns.release();
    turn();
  }
  over = true;
  turns.release();
  other.join();
}

}  // namespace cogvx::bench
