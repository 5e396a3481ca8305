#include <benchmark/benchmark.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <semaphore>
#include <thread>

#include "parallel/rendezvous.h"
#include "parallel/shared_sequence.h"
#include "tests/bench/micro_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::bench {
namespace {

// What one layer moves, there and back; nothing is computed between.
void move_layer(SequenceExchange& exchange) {
  exchange.send_buffer();
  exchange.begin_to_heads();
  for (int group = 0; group < exchange.head_groups(); ++group) {
    exchange.finish_to_heads(group);
    exchange.attention_output(group);
    exchange.begin_to_rows(group);
  }
  exchange.finish_to_rows();
}

// Two ranks as threads; to Gloo they are processes that talk over the loopback device.
void exchange_layer(benchmark::State& state, SequenceMode mode) {
  std::signal(SIGPIPE, SIG_IGN);
  const test::TemporaryFolder folder;
  const SequenceShape shape{
      .rows = kRows, .heads = kHeads, .head_dim = kHeadDim, .dtype = at::kBFloat16};
  std::counting_semaphore<> turns(0);
  bool over = false;
  const auto join = [&](int rank) {
    const Rendezvous meeting =
        Rendezvous::by_file(folder / "meeting", /*world=*/2, std::chrono::seconds(20));
    return meeting.make_gloo_group({"all", rank, 2});
  };
  std::thread other([&] {
    const std::unique_ptr<Group> group = join(1);
    const auto exchange = make_shared_sequence(mode, *group);
    exchange->begin_sequence(shape);
    for (turns.acquire(); !over; turns.acquire()) move_layer(*exchange);
  });
  const std::unique_ptr<Group> group = join(0);
  const auto exchange = make_shared_sequence(mode, *group);
  exchange->begin_sequence(shape);
  for (auto iteration : state) {
    turns.release();
    move_layer(*exchange);
  }
  over = true;
  turns.release();
  other.join();
  state.counters["MB sent per rank"] = static_cast<double>(exchange->bytes_sent().attention) / 1e6 /
                                       static_cast<double>(state.iterations());
  state.counters["GB"] = benchmark::Counter(
      static_cast<double>(exchange->bytes_sent().attention) / 1e9, benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(exchange_layer, ulysses, SequenceMode::kUlysses)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(exchange_layer, gather, SequenceMode::kGather)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cogvx::bench
