#pragma once

#include <algorithm>
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
  BytesMoved bytes;       // given to others in the whole run
  BytesMoved step_bytes;  // in the step that gives most
  MemoryPlan host;
  // Of its GPU; zeros without one.
  MemoryPlan device_none;
  MemoryPlan device_sequential;
};

struct Forecast {
  RunPlan plan;
  Checkpoint checkpoint;
  std::vector<Stage> stages;
  int64_t rows = 0;         // of the joint sequence
  int64_t branches = 1;     // of guidance, one pass each in every step
  bool starts_anew = true;  // and not with the latents of a saved run
  int64_t first_step = 0;
  std::string offload;               // as asked for
  std::vector<int64_t> timesteps;    // that are left
  std::vector<double> guidance;      // of each step
  std::vector<int64_t> noise_bytes;  // drawn in each step
  int64_t text_flops = 0;            // of all prompts
  PassFlops pass;                    // the whole of one
  std::vector<RankForecast> ranks;
  // On this host, or with --device cuda on any GPU that is known; and the cure. Empty: it does.
  std::string does_not_fit{};

  bool has(Stage stage) const { return std::ranges::find(stages, stage) != stages.end(); }
};
// What a run with these options would be, without a GPU, a weight or another process. Throws what
// `resolve` and `read_continuation` do.
Forecast forecast(const Options& options);

int64_t latent_elements(const LatentShape& shape);

// Fills in what a rank gives to others, by the calls that a run makes.
void forecast_bytes(const Forecast& run, RankForecast& rank);

// For people, and one JSON object with the names of the sidecar.
struct CpuSpeed;
std::string forecast_text(const Forecast& run, const CpuSpeed* cpu);
std::string forecast_json(const Forecast& run, const CpuSpeed* cpu);

}  // namespace cogvx::app
