#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/base/random.h"
#include "core/weights/config.h"

namespace cogvx {

// Training timesteps of `steps` inference steps, descending; one more than asked for some counts
// with trailing spacing, as numpy's arange has it. Throws UsageError for steps outside [1,
// num_train_timesteps].
std::vector<int64_t> inference_timesteps(const SchedulerConfig& config, int64_t steps);

// Cumulative alphas [num_train_timesteps] after zero-SNR rescaling: double and after SNR shift, but
// fp32 and without it for the generic DDIM.
at::Tensor cumulative_alphas(const SchedulerConfig& config);

// guidance 1 + scale * (1 - cos(pi * ((steps - timestep) / steps)^5)) / 2, with the training
// timestep as diffusers has it.
double dynamic_guidance(double scale, int64_t steps, int64_t timestep);

// What a step leaves for the next one besides the sample.
struct SchedulerMemory {
  at::Tensor previous_x0;  // DPM: the last predicted clean sample
};

// CogVideoXDDIMScheduler, CogVideoXDPMScheduler (SDE-DPM-Solver++ 2M) and DDIMScheduler of
// diffusers. Coefficients are 0-dim tensors, so that libtorch promotes types as diffusers does:
// bf16 sample * coefficient stays bf16, with an fp32 model output fp32.
class Scheduler {
 public:
  // Without the first `skipped` steps; the others stay as they are.
  Scheduler(const SchedulerConfig& config, int64_t steps, int64_t skipped = 0);

  const std::vector<int64_t>& timesteps() const { return timesteps_; }

  // Step i: model_output (fp32) at timesteps()[i] + sample -> the sample one step on, in the
  // promoted dtype. DPM draws noise: once in the first and in a terminal
  // step, twice in every other.
  at::Tensor step(int64_t i, const at::Tensor& model_output, const at::Tensor& sample,
                  SchedulerMemory& memory, const NoiseDraw& draw) const;

  // What a clean sample looks like at a timestep, in its dtype.
  at::Tensor add_noise(const at::Tensor& sample, const at::Tensor& noise, int64_t timestep) const;

 private:
  at::Tensor alpha(int64_t timestep) const;  // final alpha below 0
  at::Tensor predict_x0(const at::Tensor& model_output, const at::Tensor& sample,
                        const at::Tensor& alpha_t) const;
  at::Tensor step_ddim(const at::Tensor& x0, const at::Tensor& sample, const at::Tensor& alpha_t,
                       const at::Tensor& alpha_prev) const;
  at::Tensor step_generic(const at::Tensor& model_output, const at::Tensor& sample,
                          const at::Tensor& alpha_t, const at::Tensor& alpha_prev) const;

  SchedulerConfig config_;
  int64_t steps_;
  std::vector<int64_t> timesteps_;
  at::Tensor alphas_;
};

}  // namespace cogvx
