#include <benchmark/benchmark.h>

#include <memory>

#include "parallel/shared_sequence.h"
#include "tests/bench/micro_support.h"
#include "tests/bench/two_ranks.h"

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

void exchange_layer(benchmark::State& state, SequenceMode mode) {
  int64_t sent = 0;
  run_two_ranks(state, [&](Group& group) {
    const std::shared_ptr<SharedSequence> exchange = make_shared_sequence(mode, group);
    exchange->begin_sequence(
        {.rows = kRows, .heads = kHeads, .head_dim = kHeadDim, .dtype = at::kBFloat16});
    return [exchange, &sent, first = group.rank() == 0] {
      move_layer(*exchange);
      if (first) sent = exchange->bytes_sent().attention;
    };
  });
  state.counters["MB sent per rank"] =
      static_cast<double>(sent) / 1e6 / static_cast<double>(state.iterations());
  state.counters["GB"] =
      benchmark::Counter(static_cast<double>(sent) / 1e9, benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(exchange_layer, ulysses, SequenceMode::kUlysses)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(exchange_layer, gather, SequenceMode::kGather)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cogvx::bench
