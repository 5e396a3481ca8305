#include "tests/support/tiny_models.h"

#include <ATen/ATen.h>

#include <fstream>

#include "core/base/random.h"

namespace cogvx::test {
namespace {

Checkpoint write_and_open(const std::string& name, const std::filesystem::path& dir,
                          StoredDtype stored) {
  write_tiny_checkpoint(golden_recipe(name), dir, stored);
  // Tests feed stored token ids; the checkpoint only wants the file to be there.
  std::filesystem::create_directories(dir / "tokenizer");
  std::ofstream(dir / "tokenizer" / "spiece.model") << "not a model";
  return open_checkpoint(dir);
}

Task golden_task(const std::string& name) {
  for (const Task task : {Task::kImageToVideo, Task::kVideoToVideo, Task::kControl}) {
    if (task_name(task) == name) return task;
  }
  return Task::kTextToVideo;
}

}  // namespace

TinyCheckpoint::TinyCheckpoint(const std::string& name, StoredDtype stored)
    : checkpoint_(write_and_open(name, folder_.path(), stored)) {}

Transformer load_transformer(const Checkpoint& checkpoint, at::ScalarType dtype, Ops& ops) {
  WeightMap weights(checkpoint.dir / "transformer", "diffusion_pytorch_model");
  return Transformer(checkpoint.transformer, weights, dtype, ops);
}

VaeDecoder load_vae(const Checkpoint& checkpoint, at::ScalarType dtype, Ops& ops) {
  WeightMap weights(checkpoint.dir / "vae", "diffusion_pytorch_model");
  return VaeDecoder(checkpoint.vae, weights, dtype, ops);
}

VaeEncoder load_vae_encoder(const Checkpoint& checkpoint, at::ScalarType dtype, Ops& ops) {
  WeightMap weights(checkpoint.dir / "vae", "diffusion_pytorch_model");
  return VaeEncoder(checkpoint.vae, weights, dtype, ops);
}

at::Tensor encode_ids(const Checkpoint& checkpoint, const at::Tensor& ids_1T, at::ScalarType dtype,
                      Ops& ops) {
  const auto* ids = ids_1T.const_data_ptr<int64_t>();
  const std::vector<PromptIds> requests{{.prompt = {ids, ids + ids_1T.numel()}, .negative = {}}};
  return encode_texts(checkpoint, requests, dtype, ops, Monitor{}).states.at(0).prompt;
}

at::Tensor decode_video(const Checkpoint& checkpoint, const VaeDecoder& decoder,
                        const at::Tensor& latents_1CtYX, bool tiling) {
  const at::Tensor latents = latents_1CtYX.squeeze(0);
  const TileLayout layout = plan_tiles(tiling ? default_tile(checkpoint.vae) : TileSize{},
                                       latents.size(2), latents.size(3));
  std::vector<at::Tensor> tiles;
  Ops& ops = decoder.ops();
  for (const Tile& tile : layout.tiles)
    tiles.push_back(ops.upload(decode_tile(decoder, latents, tile)));
  return ops.download(blend_tiles(layout, std::move(tiles), ops)).unsqueeze(0);
}

at::Tensor encode_moments(const Checkpoint& checkpoint, const VaeEncoder& encoder,
                          const at::Tensor& pixels_1CTYX, bool tiling) {
  OneWorker work;
  const TileSize tile = tiling ? default_tile(checkpoint.vae) : TileSize{};
  const at::Tensor pixels = pixels_1CTYX.squeeze(0).to(encoder.dtype());
  return encode_video({tile, encoder, work}, pixels, Monitor{}).unsqueeze(0);
}

Request golden_request(const Checkpoint& checkpoint, const nlohmann::json& params, uint64_t seed,
                       at::ScalarType dtype) {
  Request request;
  request.prompt = params.at("prompt");
  request.negative_prompt = params.at("negative_prompt");
  request.width = params.at("width");
  request.height = params.at("height");
  request.num_frames = params.at("num_frames");
  request.steps = params.at("steps");
  request.guidance_scale = params.at("guidance_scale");
  request.dynamic_cfg = params.at("dynamic_cfg");
  request.scheduler =
      params.contains("scheduler_config")
          ? parse_scheduler_config(params.at("scheduler_config"), "scheduler_config")
          : checkpoint.scheduler;
  request.task = golden_task(params.value("task", "t2v"));
  request.strength = params.value("strength", 1.0);
  request.seed = seed;
  request.dtype = dtype;
  if (params.at("tiling").get<bool>()) request.vae_tile = default_tile(checkpoint.vae);
  request.max_text_tokens = params.at("max_sequence_length");
  return request;
}

at::Tensor golden_rgb(const Request& request, const GoldenCase& golden) {
  if (request.task == Task::kTextToVideo) return {};
  if (request.task == Task::kImageToVideo) return golden.input("image").unsqueeze(0);
  return golden.input("video");
}

Conditions golden_conditions(const Request& request, const Checkpoint& checkpoint,
                             const VaeEncoder& encoder, const at::Tensor& rgb_FHW3,
                             at::Generator& generator) {
  OneWorker work;
  return encode_input(
      {request, checkpoint.vae, encoder, latent_shape(request, checkpoint).frames, work}, rgb_FHW3,
      generator, Monitor{});
}

DenoisedLatents run_denoise(const Request& request, const Checkpoint& checkpoint,
                            Transformer& transformer, const TextStates& text) {
  return run_denoise(request, checkpoint, transformer, text, {{}, make_generator(request.seed)});
}

DenoisedLatents run_denoise(const Request& request, const Checkpoint& checkpoint,
                            Transformer& transformer, const TextStates& text,
                            const GoldenInput& input) {
  OneWorker work;
  DenoiseState state = initial_state(request, latent_shape(request, checkpoint), work,
                                     {input.generator, input.conditions.video_LCYX});
  DenoisedLatents latents{.initial = state.latents_LCYX.unsqueeze(0), .first = {}, .final = {}};
  IdentityExchange exchange;
  const auto after_step = [&](const DenoiseState& now) {
    if (now.next_step == 1) latents.first = now.latents_LCYX.unsqueeze(0);
  };
  denoise(
      {request, transformer, text, exchange, work, after_step, {}, input.conditions.channels_LCYX},
      state, Monitor{});
  latents.final = state.latents_LCYX.unsqueeze(0);
  return latents;
}

at::Tensor decode_frames(const Request& request, const Checkpoint& checkpoint,
                         const VaeDecoder& decoder, const at::Tensor& latents_1LCYX) {
  OneWorker work;
  return decode_latents({request, decoder, checkpoint.vae.scaling_factor, work},
                        latents_1LCYX.squeeze(0), Monitor{});
}

}  // namespace cogvx::test
