#include "tests/parallel/mesh_pipeline.h"

#include <ostream>

#include "core/base/random.h"

namespace cogvx::test {

void PrintTo(const PipelineSetting& setting, std::ostream* out) {
  *out << setting.checkpoint << " " << setting.dtype << " guidance " << setting.guidance_scale;
}

PipelineInput pipeline_input(const Checkpoint& checkpoint, const PipelineSetting& setting) {
  const GoldenCase any = golden_cases("tiny-2b", "pipeline").front();
  nlohmann::json params = any.params();
  params["width"] = 160;
  params["height"] = 112;
  params["num_frames"] = 13;
  params["steps"] = 3;
  params["guidance_scale"] = setting.guidance_scale;
  params["dynamic_cfg"] = checkpoint.scheduler.kind == SchedulerKind::kDpm;
  PipelineInput input{.request = golden_request(checkpoint, params, 5, setting.dtype),
                      .prompt_ids = any.output("prompt_ids"),
                      .negative_ids = any.output("negative_prompt_ids")};
  input.request.vae_tile = {.height = 48, .width = 80};
  return input;
}

PipelineInput golden_pipeline_input(const Checkpoint& checkpoint, const GoldenCase& golden,
                                    at::ScalarType dtype) {
  const nlohmann::json& params = golden.params();
  const Request request =
      golden_request(checkpoint, params, params.at("seed").get<uint64_t>(), dtype);
  const char* negative = "negative_prompt_ids";
  return {.request = request,
          .prompt_ids = golden.output("prompt_ids"),
          .negative_ids = golden.has_output(negative) ? golden.output(negative) : at::Tensor(),
          .rgb_FHW3 = golden_rgb(request, golden)};
}

PipelineResult run_pipeline(const Checkpoint& checkpoint, const PipelineInput& input,
                            const PipelineParts& parts) {
  const auto& [exchange, work, ops, after_step] = parts;
  const Request& request = input.request;
  const LatentShape shape = latent_shape(request, checkpoint);
  StageRecorder recorder;
  PipelineResult result;
  const RunWatch watch{&recorder, &result.units};
  const TensorShape text_shape{{request.max_text_tokens, checkpoint.text_encoder.d_model},
                               request.dtype};
  const auto text = [&](const at::Tensor& ids) {
    if (!ids.defined()) return at::Tensor();
    return work.made_once(text_shape,
                          [&] { return encode_ids(checkpoint, ids, request.dtype, ops); });
  };
  const TextStates states{.prompt = text(input.prompt_ids), .negative = text(input.negative_ids)};
  at::Generator generator = make_generator(request.seed);
  if (input.rgb_FHW3.defined()) {
    const VaeEncoder encoder = load_vae_encoder(checkpoint, request.dtype, ops);
    result.conditions = encode_input({request, checkpoint.vae, encoder, shape.frames, work, watch},
                                     input.rgb_FHW3, generator, Monitor{});
  }
  Transformer transformer = load_transformer(checkpoint, request.dtype, ops);
  DenoiseState state =
      initial_state(request, shape, work, {generator, result.conditions.video_LCYX});
  denoise({request, transformer, states, exchange, work, after_step, watch,
           result.conditions.channels_LCYX},
          state, Monitor{});
  const VaeDecoder decoder = load_vae(checkpoint, request.dtype, ops);
  result.latents = state.latents_LCYX;
  result.frames =
      decode_latents({request, decoder, checkpoint.vae.scaling_factor, work, watch},
                     state.latents_LCYX.narrow(0, shape.padding, shape.decoded()), Monitor{});
  result.seen = recorder.take();
  return result;
}

}  // namespace cogvx::test
