#include "core/schedule/scheduler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/cumprod.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/log.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sqrt.h>

#include <algorithm>
#include <cmath>

#include "core/base/errors.h"
#include "core/base/rounding.h"

namespace cogvx {
namespace {

at::Tensor log_snr_root(const at::Tensor& alpha) { return at::log(at::sqrt(alpha / (1 - alpha))); }

// Roots of cumulative alphas, moved so that the last is 0 and the first stays.
at::Tensor without_terminal_snr(const at::Tensor& roots) {
  const at::Tensor first = roots[0].clone(), last = roots[-1].clone();
  return (roots - last) * (first / (first - last));
}

// diffusers: DDIMScheduler, whose rescaling goes back to betas.
at::Tensor generic_alphas(const SchedulerConfig& c) {
  const bool scaled = c.beta_schedule == BetaSchedule::kScaledLinear;
  at::Tensor betas =
      at::linspace(scaled ? std::sqrt(c.beta_start) : c.beta_start,
                   scaled ? std::sqrt(c.beta_end) : c.beta_end, c.num_train_timesteps, at::kFloat);
  if (scaled) betas = betas.square();
  if (c.rescale_betas_zero_snr) {
    const at::Tensor all = without_terminal_snr(at::sqrt(at::cumprod(1.0 - betas, 0))).square();
    const int64_t count = all.size(0);
    const at::Tensor ratios = all.narrow(0, 1, count - 1) / all.narrow(0, 0, count - 1);
    betas = 1 - at::cat({all.narrow(0, 0, 1), ratios});
  }
  return at::cumprod(1.0 - betas, 0);
}

}  // namespace

std::vector<int64_t> inference_timesteps(const SchedulerConfig& config, int64_t steps) {
  const int64_t train = config.num_train_timesteps;
  if (steps < 1 || steps > train) {
    throw UsageError("--steps is " + std::to_string(steps) + ", this scheduler takes 1 to " +
                     std::to_string(train) +
                     "; nearest: " + std::to_string(std::clamp<int64_t>(steps, 1, train)));
  }
  std::vector<int64_t> timesteps;
  switch (config.timestep_spacing) {
    case TimestepSpacing::kTrailing: {
      const double stride = -static_cast<double>(train) / static_cast<double>(steps);
      // numpy's arange(train, 0, stride) has ceil((0 - train) / stride) entries, which is steps + 1
      // for some steps.
      const auto count = static_cast<int64_t>(std::ceil(-static_cast<double>(train) / stride));
      for (int64_t i = 0; i < count; ++i) {
        timesteps.push_back(
            round_half_even(static_cast<double>(train) + static_cast<double>(i) * stride) - 1);
      }
      break;
    }
    case TimestepSpacing::kLeading:
      for (int64_t i = steps - 1; i >= 0; --i)
        timesteps.push_back(i * (train / steps) + config.steps_offset);
      break;
    case TimestepSpacing::kLinspace: {
      const double stride =
          steps > 1 ? static_cast<double>(train - 1) / static_cast<double>(steps - 1) : 0.0;
      for (int64_t i = steps - 1; i >= 0; --i) {
        const bool last = steps > 1 && i == steps - 1;
        timesteps.push_back(last ? train - 1 : round_half_even(static_cast<double>(i) * stride));
      }
      break;
    }
  }
  return timesteps;
}

at::Tensor cumulative_alphas(const SchedulerConfig& c) {
  if (c.kind == SchedulerKind::kGenericDdim) return generic_alphas(c);
  at::Tensor betas;
  if (c.beta_schedule == BetaSchedule::kScaledLinear) {
    betas = at::linspace(std::sqrt(c.beta_start), std::sqrt(c.beta_end), c.num_train_timesteps,
                         at::kDouble)
                .square();
  } else {
    betas = at::linspace(c.beta_start, c.beta_end, c.num_train_timesteps, at::kFloat);
  }
  at::Tensor alphas = at::cumprod(1.0 - betas, 0);
  alphas = alphas / (c.snr_shift_scale + (1 - c.snr_shift_scale) * alphas);
  if (c.rescale_betas_zero_snr) alphas = without_terminal_snr(at::sqrt(alphas)).square();
  return alphas;
}

double dynamic_guidance(double scale, int64_t steps, int64_t timestep) {
  const auto n = static_cast<double>(steps);
  return 1 +
         scale *
             ((1 - std::cos(M_PI * std::pow((n - static_cast<double>(timestep)) / n, 5.0))) / 2);
}

Scheduler::Scheduler(const SchedulerConfig& config, int64_t steps, int64_t skipped)
    : config_(config),
      steps_(steps),
      timesteps_(inference_timesteps(config, steps)),
      alphas_(cumulative_alphas(config)) {
  timesteps_.erase(timesteps_.begin(), timesteps_.begin() + skipped);
}

at::Tensor Scheduler::alpha(int64_t timestep) const {
  if (timestep >= 0) return alphas_[timestep];
  return config_.set_alpha_to_one ? at::ones({}, at::kFloat) : alphas_[0];
}

at::Tensor Scheduler::predict_x0(const at::Tensor& model_output, const at::Tensor& sample,
                                 const at::Tensor& alpha_t) const {
  const at::Tensor signal = at::sqrt(alpha_t);
  const at::Tensor noise = at::sqrt(1 - alpha_t);
  switch (config_.prediction_type) {
    case PredictionType::kEpsilon:
      return (sample - noise * model_output) / signal;
    case PredictionType::kSample:
      return model_output;
    case PredictionType::kVPrediction:
      return signal * sample - noise * model_output;
  }
  return {};
}

at::Tensor Scheduler::step_ddim(const at::Tensor& x0, const at::Tensor& sample,
                                const at::Tensor& alpha_t, const at::Tensor& alpha_prev) const {
  const at::Tensor a = at::sqrt((1 - alpha_prev) / (1 - alpha_t));
  const at::Tensor b = at::sqrt(alpha_prev) - at::sqrt(alpha_t) * a;
  return a * sample + b * x0;
}

at::Tensor Scheduler::step_generic(const at::Tensor& model_output, const at::Tensor& sample,
                                   const at::Tensor& alpha_t, const at::Tensor& alpha_prev) const {
  const at::Tensor signal = at::sqrt(alpha_t), scale = at::sqrt(1 - alpha_t);
  at::Tensor x0 = predict_x0(model_output, sample, alpha_t);
  // Of the prediction as it was, not as it is cut.
  at::Tensor noise;
  switch (config_.prediction_type) {
    case PredictionType::kEpsilon:
      noise = model_output;
      break;
    case PredictionType::kSample:
      noise = (sample - signal * x0) / scale;
      break;
    case PredictionType::kVPrediction:
      noise = signal * model_output + scale * sample;
      break;
  }
  if (config_.clip_sample)
    x0 = at::clamp(x0, -config_.clip_sample_range, config_.clip_sample_range);
  return at::sqrt(alpha_prev) * x0 + at::sqrt(1 - alpha_prev) * noise;
}

at::Tensor Scheduler::add_noise(const at::Tensor& sample, const at::Tensor& noise,
                                int64_t timestep) const {
  // diffusers rounds the table first and takes roots of that.
  const at::Tensor alpha =
      alphas_.to(sample.scalar_type())[timestep].view(std::vector<int64_t>(sample.dim(), 1));
  return at::sqrt(alpha) * sample + at::sqrt(1 - alpha) * noise;
}

at::Tensor Scheduler::step(int64_t i, const at::Tensor& model_output, const at::Tensor& sample,
                           SchedulerMemory& memory, const NoiseDraw& draw) const {
  const int64_t timestep = timesteps_[i];
  // The integer stride, not the next list entry: the two differ when steps does not divide the
  // training steps.
  const int64_t previous = timestep - config_.num_train_timesteps / steps_;
  // Some trailing lists end with -1, which diffusers looks up from the table's end.
  const at::Tensor alpha_t = timestep >= 0 ? alphas_[timestep] : alphas_[-1];
  const at::Tensor alpha_prev = alpha(previous);
  if (config_.kind == SchedulerKind::kGenericDdim)
    return step_generic(model_output, sample, alpha_t, alpha_prev);
  const at::Tensor x0 = predict_x0(model_output, sample, alpha_t);
  if (config_.kind == SchedulerKind::kDdim) return step_ddim(x0, sample, alpha_t, alpha_prev);

  const at::Tensor lambda = log_snr_root(alpha_t);
  const at::Tensor h = log_snr_root(alpha_prev) - lambda;
  const at::Tensor keep = at::sqrt((1 - alpha_prev) / (1 - alpha_t)) * at::exp(-h);
  const at::Tensor pull = at::expm1(-2 * h) * at::sqrt(alpha_prev);
  const at::Tensor noise_scale = at::sqrt(1 - alpha_prev) * at::sqrt(1 - at::exp(-2 * h));
  const std::vector<int64_t> shape = sample.sizes().vec();
  at::Tensor noise = draw(shape, sample.scalar_type());
  const at::Tensor old_x0 = std::exchange(memory.previous_x0, x0);
  if (!old_x0.defined() || previous < 0) return keep * sample - pull * x0 + noise_scale * noise;

  // The first draw is thrown away, as in diffusers: a skipped one would shift the whole stream.
  noise = draw(shape, sample.scalar_type());
  const int64_t back = timesteps_[i - 1];
  const at::Tensor r = (lambda - log_snr_root(alphas_[back])) / h;
  const at::Tensor denoised = (1 + 1 / (2 * r)) * x0 - (1 / (2 * r)) * old_x0;
  return keep * sample - pull * denoised + noise_scale * noise;
}

}  // namespace cogvx
