#pragma once

#include <memory>
#include <vector>

#include "core/pipeline/stages.h"
#include "parallel/mesh_work.h"
#include "tests/support/tiny_models.h"

// Everything a process does after the tokenizer, on tiny checkpoints.
namespace cogvx::test {

struct PipelineSetting {
  const char* checkpoint;
  at::ScalarType dtype = at::kFloat;
  double guidance_scale = 6.0;
};
void PrintTo(const PipelineSetting& setting, std::ostream* out);

// Nine tiles of unequal size, two temporal chunks, three steps.
Request pipeline_request(const Checkpoint& checkpoint, const PipelineSetting& setting);

// What one process works with.
struct PipelineParts {
  SequenceExchange& exchange;
  WorkExchange& work;
  Ops& ops;
  std::function<void(const DenoiseState&)> after_step{};
};

struct PipelineResult {
  at::Tensor latents;
  at::Tensor frames;  // undefined where the tiles do not come together
  std::vector<UnitHash> seen;
  UnitLedger units;
};

// With models of its own.
PipelineResult run_pipeline(const Checkpoint& checkpoint, const PipelineSetting& setting,
                            const PipelineParts& parts);

}  // namespace cogvx::test
