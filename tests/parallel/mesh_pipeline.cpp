#include "tests/parallel/mesh_pipeline.h"

#include <ostream>

namespace cogvx::test {

void PrintTo(const PipelineSetting& setting, std::ostream* out) {
  *out << setting.checkpoint << " " << setting.dtype << " guidance " << setting.guidance_scale;
}

Request pipeline_request(const Checkpoint& checkpoint, const PipelineSetting& setting) {
  nlohmann::json params = golden_cases("tiny-2b", "pipeline").front().params();
  params["width"] = 160;
  params["height"] = 112;
  params["num_frames"] = 13;
  params["steps"] = 3;
  params["guidance_scale"] = setting.guidance_scale;
  params["dynamic_cfg"] = checkpoint.scheduler.kind == SchedulerKind::kDpm;
  Request request = golden_request(checkpoint, params, 5, setting.dtype);
  request.vae_tile = {.height = 48, .width = 80};
  return request;
}

PipelineResult run_pipeline(const Checkpoint& checkpoint, const PipelineSetting& setting,
                            const PipelineParts& parts) {
  const auto& [exchange, work, ops, after_step] = parts;
  const Request request = pipeline_request(checkpoint, setting);
  const GoldenCase any = golden_cases("tiny-2b", "pipeline").front();
  const TensorShape text_shape{{request.max_text_tokens, checkpoint.text_encoder.d_model},
                               setting.dtype};
  const auto text = [&](const char* ids) {
    return work.made_once(
        text_shape, [&] { return encode_ids(checkpoint, any.output(ids), setting.dtype, ops); });
  };
  const TextStates states{.prompt = text("prompt_ids"), .negative = text("negative_prompt_ids")};
  Transformer transformer = load_transformer(checkpoint, setting.dtype, ops);
  StageRecorder recorder;
  PipelineResult result;
  const RunWatch watch{&recorder, &result.units};
  DenoiseState state = initial_state(request, latent_shape(request, checkpoint), work);
  denoise({request, transformer, states, exchange, work, after_step, watch}, state, Monitor{});
  const VaeDecoder decoder = load_vae(checkpoint, setting.dtype, ops);
  result.latents = state.latents_LCYX;
  result.frames = decode_latents({request, decoder, checkpoint.vae.scaling_factor, work, watch},
                                 state.latents_LCYX, Monitor{});
  result.seen = recorder.take();
  return result;
}

}  // namespace cogvx::test
