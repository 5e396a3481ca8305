#pragma once

#include <string>
#include <vector>

#include "app/ranks.h"
#include "app/resolve.h"
#include "core/pipeline/flop_count.h"
#include "core/pipeline/unit_ledger.h"

namespace cogvx::app {

// What one process of a run would do, from shapes alone.
struct RankForecast {
  Mesh mesh;  // with its rank
  RowRange rows;
  int64_t passes = 0;  // of the transformer, in the whole run
  PassFlops pass;      // one of them
  int64_t encode_flops = 0;
  int64_t decode_flops = 0;
  UnitLedger units;
  BytesMoved bytes;  // given to others in the whole run
  MemoryPlan host;
  // Of its GPU; zeros without one.
  MemoryPlan device_none;
  MemoryPlan device_sequential;
};

struct Forecast {
  RunPlan plan;
  Checkpoint checkpoint;
  std::vector<Stage> stages;
  int64_t rows = 0;      // of the joint sequence
  int64_t branches = 1;  // of guidance, one pass each in every step
  std::vector<int64_t> timesteps;
  std::vector<double> guidance;  // of each step
  int64_t text_flops = 0;        // of all prompts
  PassFlops pass;                // the whole of one
  std::vector<RankForecast> ranks;
  std::string does_not_fit{};  // on this host, and the cure; empty: it does
};
// What a run with these options would be, without a GPU, a weight or another process. Throws what
// `resolve` does.
Forecast forecast(const Options& options);

// How many texts are encoded.
int64_t prompts_of(const Request& request);
// What a rank gives to others in all, by the calls that a run makes.
BytesMoved forecast_bytes(const Forecast& run, const RankForecast& rank);
// Bytes that each step of its draws noise for, summed over the steps.
int64_t noise_bytes_of_steps(const Request& request, int64_t latent_elements);

// For people, and one JSON object with the names of the sidecar.
struct CpuSpeed;
std::string forecast_text(const Forecast& run, const CpuSpeed* cpu);
std::string forecast_json(const Forecast& run, const CpuSpeed* cpu);

}  // namespace cogvx::app
