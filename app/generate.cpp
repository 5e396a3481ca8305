#include "app/generate.h"

#include <ATen/ops/full.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/computer.h"
#include "app/continuation.h"
#include "app/device_memory.h"
#include "app/input.h"
#include "app/json_text.h"
#include "app/loras.h"
#include "app/outputs.h"
#include "app/prompts.h"
#include "app/repetition.h"
#include "app/resolve.h"
#include "app/sidecar.h"
#include "app/stage_meter.h"
#include "app/standard_streams.h"
#include "app/state_keeper.h"
#include "app/trace.h"
#include "core/base/sha256.h"
#include "core/pipeline/conditions.h"
#include "core/pipeline/stages.h"
#include "core/text/tokenizer.h"
#include "core/weights/weight_map.h"

namespace cogvx::app {
namespace {

// One run from plan to files; each stage loads what it needs and lets it go.
class Run {
 public:
  Run(const Options& options, Checkpoint checkpoint, RunPlan plan, Computer& computer,
      Console& console, const std::atomic<int>& stop_signal, Ranks& ranks, Life& life)
      : options_(options),
        checkpoint_(std::move(checkpoint)),
        console_(console),
        ranks_(ranks),
        life_(life),
        ops_(computer.ops()),
        pool_(computer.pool()),
        trace_(options.trace, ranks),
        meter_(life, ops_, plan_memory(checkpoint_, plan.request, plan.placement.threads),
               plan.device_memory, report_.own.stages) {
    report_.plan = std::move(plan);
    report_.engine = computer.engine();
    report_.kernels = &computer.kernels();
    // Latents were made from inputs that this run does not read.
    if (options.decode_latents.empty()) report_.inputs = input_options(options).dump();
    monitor_ = {.on_progress =
                    [this](const Progress& now) {
                      life_.show(now);
                      console_.progress(now);
                    },
                .on_notice = [this](const std::string& text) { console_.warn(text); },
                .stop_signal = &stop_signal};
  }

  void add_loras(std::vector<ScaledLora> loras) { loras_ = std::move(loras); }

  // Hashes that the checkpoint must have; `source` says who wants them.
  void expect_checkpoint(const CheckpointIdentity& identity, const std::string& source) {
    expected_ = identity;
    expected_by_ = source;
  }
  void record_continuation(const Continuation& saved) {
    report_.continued = {saved.path, saved.state ? saved.state->state.next_step : 0,
                         saved.engine()};
    if (!saved.latents) return;
    request().checkpoint = saved.request().checkpoint;
    request().input_sha256 = saved.request().input_sha256;
    request().loras = saved.request().loras;
    latents_path_ = saved.path;
  }

  // `rgb_FHW3`: of the image or the video that the request begins with; undefined for text alone.
  void generate_from(const std::optional<SavedState>& saved, const at::Tensor& rgb_FHW3) {
    const TextStates text = shared_texts(ranks_.is_first() ? encoded_texts() : TextStates{});
    at::Generator generator = make_generator(request().seed);
    const Conditions conditions = rgb_FHW3.defined() ? encoded(rgb_FHW3, generator) : Conditions{};
    DenoiseState state;
    meter_.run(Stage::kDenoise, [&] {
      state = saved ? saved->state
                    : initial_state(request(), latent_shape(request(), checkpoint_), ranks_.work(),
                                    {generator, conditions.video_LCYX});
      extent_.first_step = state.next_step;
      ranks_.agree("the latents before the first step", state.latents_LCYX);
      run_steps(text, conditions, state);
      extent_.steps = state.next_step;
    });
    if (ranks_.is_first()) keep_latents(state.latents_LCYX);
    decode_and_write(state.latents_LCYX);
  }

  // After the last check that can refuse the request: an error comes alone.
  void say_notices() {
    for (const std::string& text : report_.plan.notices) console_.warn(text);
  }

  void decode_and_write(const at::Tensor& latents) {
    try {
      report_.sha256_latents = sha256_hex(latents.contiguous().const_data_ptr(), latents.nbytes());
      at::Tensor frames;
      meter_.run(Stage::kDecode, [&] { frames = decode(latents); });
      trace_.collect();
      collect_reports();
      if (!ranks_.is_first()) return;
      report_.sha256_frames = sha256_hex(frames.const_data_ptr(), frames.nbytes());
      report_.frames = frames.size(0);
      Outputs outputs(report_.plan.output);
      meter_.run(Stage::kWrite, [&] { outputs.prepare(frames, metadata(), monitor_); });
      write_trace();
      outputs.commit(json_text(report_to_json(report_), /*indent=*/2) + "\n");
    } catch (Error& error) {
      if (!latents_path_.empty()) {
        error.add("; the final latents are safe in " + latents_path_ +
                  ", go on with --decode-latents " + latents_path_);
      }
      throw;
    }
  }

  // What was traced up to a failure tells most.
  void keep_trace(Error& error) {
    if (trace_.empty()) return;
    try {
      write_trace();
      error.add("; the trace so far is in " + trace_.path());
    } catch (const OutputError& unwritten) {
      console_.warn(unwritten.what());
    }
  }

  void finish() {
    if (!ranks_.is_first()) return;
    const OutputPlan& output = report_.plan.output;
    if (!output.keep_latents && !latents_path_.empty() && options_.decode_latents.empty())
      remove_file(latents_path_);
    std::cout << (options_.json ? json_text(report_to_json(report_)) : output.video) << "\n";
    finish_standard_output("the video is in " + output.video);
    if (output.keep_latents && latents_path_ != output.latents) {
      throw OutputError("--save-latents " + output.latents +
                        " could not be written; the latents are in " + latents_path_);
    }
  }

 private:
  Request& request() { return report_.plan.request; }

  TextStates encoded_texts() {
    const PromptIds ids = tokenize();
    say_notices();
    EncodedTexts encoded;
    meter_.run(Stage::kEncodeText, [&] {
      encoded = encode_texts(checkpoint_, {ids}, request().dtype, ops_, monitor_);
      set_identity(request().checkpoint.text_encoder, encoded.sha256,
                   &CheckpointIdentity::text_encoder, "text encoder");
    });
    extent_.prompts = request().uses_guidance() && ids.prompt != ids.negative ? 2 : 1;
    report_.own.units.prompts = extent_.prompts;
    return encoded.states[0];
  }

  Conditions encoded(const at::Tensor& rgb_FHW3, at::Generator& generator) {
    Conditions conditions;
    meter_.run(Stage::kEncodeVideo, [&] {
      WeightMap weights(checkpoint_.dir / "vae", "diffusion_pytorch_model");
      const VaeEncoder encoder(checkpoint_.vae, weights, request().dtype, ops_);
      set_identity(request().checkpoint.vae_encoder, weights.content_sha256(),
                   &CheckpointIdentity::vae_encoder, "VAE's encoder");
      conditions =
          encode_input({request(), checkpoint_.vae, encoder,
                        latent_shape(request(), checkpoint_).frames, ranks_.work(), watch()},
                       rgb_FHW3, generator, monitor_);
    });
    extent_.videos = 1;
    return conditions;
  }

  // From the process that has the text encoder to all.
  TextStates shared_texts(const TextStates& own) {
    const TensorShape shape{{request().max_text_tokens, checkpoint_.transformer.text_embed_dim},
                            request().dtype};
    const auto share = [&](const at::Tensor& states) {
      return ranks_.work().made_once(shape, [&] { return states; });
    };
    TextStates shared{.prompt = share(own.prompt), .negative = {}};
    if (request().uses_guidance()) shared.negative = share(own.negative);
    if (StageRecorder* recorder = trace_.recorder()) {
      if (shared.negative.defined())
        recorder->whole({Rung::Part::kText, 0, /*branch=*/0, 0}, shared.negative);
      recorder->whole({Rung::Part::kText, 0, /*branch=*/1, 0}, shared.prompt);
    }
    return shared;
  }

  PromptIds tokenize() {
    const Tokenizer tokenizer(checkpoint_.dir / "tokenizer");
    set_identity(request().checkpoint.tokenizer, tokenizer.sha256(), &CheckpointIdentity::tokenizer,
                 "tokenizer");
    return encode_prompts(tokenizer, request(), options_.strict_prompt, report_.plan.notices);
  }

  void run_steps(const TextStates& text, const Conditions& conditions, DenoiseState& state) {
    life_.show({Stage::kLoad});
    WeightMap weights(checkpoint_.dir / "transformer", "diffusion_pytorch_model");
    if (!loras_.empty()) weights.set_patch(fuse_loras(std::move(loras_), pool_));
    Transformer transformer(checkpoint_.transformer, weights, request().dtype, ops_,
                            [&](int64_t done, int64_t total) {
                              monitor_.progress({Stage::kLoad, done, total});
                            });
    set_identity(request().checkpoint.transformer, weights.content_sha256(),
                 &CheckpointIdentity::transformer, "transformer");
    ranks_.agree("the transformer", request().checkpoint.transformer);
    StateKeeper keeper(report_.plan.output, request(), state, console_);
    const auto rescue = [&] { return ranks_.is_first() ? keeper.keep_interrupted() : ""; };
    const Life::Rescue at_once(life_, rescue);
    const auto after_step = [&](const DenoiseState& now) {
      trace_.collect();
      ranks_.agree("the latents after step " + std::to_string(now.next_step), now.latents_LCYX);
      if (ranks_.is_first()) keeper.after_step(now);
    };
    // A stop that was asked for, and another process that has gone.
    try {
      denoise({request(), transformer, text, ranks_.sequence(), ranks_.work(), after_step, watch(),
               conditions.channels_LCYX},
              state, monitor_);
    } catch (Interrupted& stop) {
      stop.add(rescue());
      throw;
    } catch (DistributedError& loss) {
      loss.add(rescue());
      throw;
    }
  }

  at::Tensor decode(const at::Tensor& latents) {
    WeightMap weights(checkpoint_.dir / "vae", "diffusion_pytorch_model");
    const VaeDecoder decoder(checkpoint_.vae, weights, request().dtype, ops_);
    set_identity(request().checkpoint.vae, weights.content_sha256(), &CheckpointIdentity::vae,
                 "VAE");
    const LatentShape shape = latent_shape(request(), checkpoint_);
    return decode_latents(
        {request(), decoder, checkpoint_.vae.scaling_factor, ranks_.work(), watch()},
        latents.narrow(0, shape.padding, shape.decoded()), monitor_);
  }

  RunWatch watch() { return {trace_.recorder(), &report_.own.units}; }

  void write_trace() { trace_.write(request(), report_.engine, report_.plan.placement); }

  // What the others did, before they leave.
  void collect_reports() {
    report_.all_units = all_units(request(), checkpoint_, extent_);
    const int branches =
        request().uses_guidance() ? ranks_.work().owns_branch(0) + ranks_.work().owns_branch(1) : 1;
    report_.own.moved = ranks_.bytes_moved();
    report_.own.predicted =
        ranks_.predicted_bytes(pass_shape(request(), checkpoint_, ops_.device()),
                               (extent_.steps - extent_.first_step) * branches);
    if (ranks_.is_first() && ranks_.mesh().sp > 1)
      console_.info(traffic_text(report_.own.moved, report_.own.predicted));
    std::vector<std::string> reports =
        ranks_.gather_at_first(rank_report_to_json(report_.own).dump());
    if (!reports.empty()) report_.others.assign(reports.begin() + 1, reports.end());
  }

  // Hours of work are on disk from here on, if need be in another place than was asked for.
  void keep_latents(const at::Tensor& latents) {
    const OutputPlan& output = report_.plan.output;
    const SavedLatents saved{request(), engine_to_json(report_.engine).dump(), latents};
    latents_path_ = write_latents_somewhere(output, saved, console_);
    console_.info("latents are safe in " + latents_path_);
    remove_file(output.state);
  }

  void set_identity(std::string& known, const std::string& found,
                    std::string CheckpointIdentity::*part, const char* name) {
    const std::string& wanted = expected_.*part;
    if (!wanted.empty() && wanted != found) {
      throw DataError(checkpoint_.dir.string() + ": the " + name + " is not the one in " +
                      expected_by_ +
                      " (its SHA-256 differs); give --model the checkpoint that it was made with");
    }
    known = found;
  }

  std::map<std::string, std::string> metadata() {
    if (!report_.plan.output.with_metadata) return {};
    return {{"comment", json_text({{"cogvx_request", request_to_json(request())},
                                   {"cogvx_engine", engine_to_json(report_.engine)}})}};
  }

  const Options& options_;
  Checkpoint checkpoint_;
  Console& console_;
  Ranks& ranks_;
  Life& life_;
  Ops& ops_;
  ThreadPool& pool_;
  std::vector<ScaledLora> loras_;
  Trace trace_;
  RunExtent extent_{};
  Monitor monitor_;
  RunReport report_;
  StageMeter meter_;
  CheckpointIdentity expected_;
  std::string expected_by_;
  std::string latents_path_;  // where the final latents lie on disk
};

}  // namespace

void generate(const Options& given, Console& console, const std::atomic<int>& stop_signal,
              Ranks& ranks, Life& life, const LocalPlace& here) {
  check_options(given);
  Options options = given;
  Checkpoint checkpoint = open_checkpoint(
      options.model, ranks.is_first() ? TextEncoder::kHere : TextEncoder::kElsewhere);
  const Continuation saved = read_continuation(options, checkpoint);
  // The seed of a run that goes on has been picked already.
  if (!saved.path.empty() && options.seed == -1)
    options.seed = static_cast<int64_t>(saved.request().seed);
  if (options.seed == -1) {
    const at::Tensor picked = ranks.work().made_once(
        {{1}, at::kLong}, [] { return at::full({1}, pick_seed(), at::kLong); });
    options.seed = picked.item<int64_t>();
  }
  RunPlan plan =
      resolve(options, checkpoint,
              {.role = ranks.is_first() ? Role::kWritesResults : Role::kHelps, .here = here});
  settle_offload(plan, options, checkpoint, ranks.mesh());
  const Monitor reading{.on_progress = {},
                        .on_notice = [&](const std::string& text) { plan.notices.push_back(text); },
                        .stop_signal = &stop_signal};
  at::Tensor rgb_FHW3;
  std::vector<ScaledLora> loras;
  if (!saved.latents && !options.dump_config) {
    rgb_FHW3 = read_input(options, plan.request, ranks.work(), reading);
    loras = read_loras(options, checkpoint, reading);
    identify(rgb_FHW3, loras, plan.request);
  }
  Computer computer(plan.placement, plan.request, ranks);
  const Engine& engine = computer.engine();
  ranks.agree("the engine (build, libraries, instruction set)", engine_to_json(engine).dump());
  ranks.agree("the request", request_to_json(plan.request).dump());
  if (!saved.path.empty()) {
    check_same_request(saved, plan.request);
    if (saved.engine() != engine_to_json(engine).dump())
      plan.notices.push_back(another_engine_text(saved.path));
  }
  if (!options.from.empty()) check_repetition(options, plan.request, engine, plan.notices);
  if (options.dump_config) {
    std::cout << json_text(options_to_json(resolved_options(options, plan)), /*indent=*/2) << "\n";
    return finish_standard_output("--dump-config is cut");
  }
  notice_environment(engine, plan.notices);
  Run run(options, std::move(checkpoint), std::move(plan), computer, console, stop_signal, ranks,
          life);
  if (!options.from.empty())
    run.expect_checkpoint(sidecar_request(options.from).checkpoint, options.from);
  if (!saved.path.empty()) {
    run.expect_checkpoint(saved.request().checkpoint, saved.path);
    run.record_continuation(saved);
  }
  try {
    if (saved.latents) {
      if (ranks.is_first()) run.say_notices();
      run.decode_and_write(saved.latents->latents_LCYX);
    } else {
      run.add_loras(std::move(loras));
      run.generate_from(saved.state, rgb_FHW3);
    }
  } catch (Error& error) {
    run.keep_trace(error);
    throw;
  }
  run.finish();
}

}  // namespace cogvx::app
