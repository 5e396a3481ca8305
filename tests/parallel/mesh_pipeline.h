#pragma once

#include <memory>
#include <vector>

#include "core/pipeline/conditions.h"
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

// What every process is given.
struct PipelineInput {
  Request request;
  at::Tensor prompt_ids;
  at::Tensor negative_ids;  // undefined: not encoded
  at::Tensor rgb_FHW3{};    // of the image or the video; undefined for text alone
};
// Text to video: nine tiles of unequal size, two temporal chunks, three steps.
PipelineInput pipeline_input(const Checkpoint& checkpoint, const PipelineSetting& setting);
// Of any task, as a golden case has it.
PipelineInput golden_pipeline_input(const Checkpoint& checkpoint, const GoldenCase& golden,
                                    at::ScalarType dtype);

// What one process works with.
struct PipelineParts {
  SequenceExchange& exchange;
  WorkExchange& work;
  Ops& ops;
  std::function<void(const DenoiseState&)> after_step{};
};

struct PipelineResult {
  Conditions conditions;
  at::Tensor latents;
  at::Tensor frames;  // undefined where the tiles do not come together
  std::vector<UnitHash> seen;
  UnitLedger units;
};

// With models of its own.
PipelineResult run_pipeline(const Checkpoint& checkpoint, const PipelineInput& input,
                            const PipelineParts& parts);

}  // namespace cogvx::test
