#include "app/generate.h"

#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/latents_file.h"
#include "app/resolve.h"
#include "app/sidecar.h"
#include "core/base/memory.h"
#include "core/base/sha256.h"
#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/pipeline/memory_plan.h"
#include "core/pipeline/stages.h"
#include "core/text/tokenizer.h"
#include "core/vae/tiles.h"
#include "core/weights/weight_map.h"
#include "io/atomic_file.h"
#include "io/png.h"
#include "io/video_writer.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

// One run from plan to files; each stage loads what it needs and lets it go.
class Run {
 public:
  Run(const Options& options, Checkpoint checkpoint, RunPlan plan, Console& console,
      const std::atomic<int>& stop_signal)
      : options_(options),
        checkpoint_(std::move(checkpoint)),
        console_(console),
        pool_(plan.placement.threads),
        ops_(pool_) {
    report_.plan = std::move(plan);
    report_.engine = find_engine();
    monitor_ = {.on_progress = [this](const Progress& now) { console_.progress(now); },
                .on_notice = [this](const std::string& text) { console_.warn(text); },
                .stop_signal = &stop_signal};
    if (!options.from.empty()) expected_ = sidecar_request(options.from);
  }

  at::Tensor generate_latents() {
    const PromptIds ids = tokenize();
    say_notices();
    TextStates text;
    in_stage(Stage::kEncodeText, [&] {
      EncodedTexts encoded = encode_texts(checkpoint_, {ids}, request().dtype, ops_, monitor_);
      text = encoded.states[0];
      set_identity(request().checkpoint.text_encoder, encoded.sha256,
                   &CheckpointIdentity::text_encoder, "text encoder");
    });
    DenoiseState state = initial_state(request(), latent_shape(request(), checkpoint_));
    in_stage(Stage::kDenoise, [&] {
      WeightMap weights(checkpoint_.dir / "transformer", "diffusion_pytorch_model");
      Transformer transformer(checkpoint_.transformer, weights, request().dtype, ops_,
                              [&](int64_t done, int64_t total) {
                                monitor_.progress({Stage::kLoad, done, total});
                              });
      set_identity(request().checkpoint.transformer, weights.content_sha256(),
                   &CheckpointIdentity::transformer, "transformer");
      IdentityExchange exchange;
      denoise(request(), transformer, text, exchange, state, monitor_);
      report_.units["branches"] = state.next_step * (request().uses_guidance() ? 2 : 1);
    });
    report_.units["prompts"] = request().uses_guidance() && ids.prompt != ids.negative ? 2 : 1;
    return state.latents_LCYX;
  }

  void save_latents(const at::Tensor& latents) {
    write_latents(report_.plan.output.latents, {latents, request()});
    console_.info("latents are safe in " + report_.plan.output.latents);
  }

  void decode_and_write(const at::Tensor& latents) {
    report_.sha256_latents = sha256_hex(latents.contiguous().const_data_ptr(), latents.nbytes());
    at::Tensor frames;
    in_stage(Stage::kDecode, [&] {
      WeightMap weights(checkpoint_.dir / "vae", "diffusion_pytorch_model");
      const VaeDecoder decoder(checkpoint_.vae, weights, request().dtype, ops_);
      set_identity(request().checkpoint.vae, weights.content_sha256(), &CheckpointIdentity::vae,
                   "VAE");
      report_.units["vae_tiles"] = static_cast<int64_t>(
          plan_tiles(request().vae_tile, latents.size(2), latents.size(3)).tiles.size());
      frames =
          decode_latents(request(), decoder, checkpoint_.vae.scaling_factor, latents, monitor_);
    });
    report_.sha256_frames = sha256_hex(frames.const_data_ptr(), frames.nbytes());
    report_.frames = frames.size(0);
    in_stage(Stage::kWrite, [&] { write_outputs(frames); });
  }

  void finish() {
    const OutputPlan& output = report_.plan.output;
    io::write_text_file(output.sidecar, report_to_json(report_).dump(2) + "\n");
    // The latents kept for safety have served; in --decode-latents none were written.
    if (!output.keep_latents && !output.latents.empty()) fs::remove(output.latents);
    if (options_.json) {
      std::cout << report_to_json(report_).dump() << std::endl;
    } else {
      std::cout << output.video << std::endl;
    }
    if (!std::cout)
      throw OutputError("standard output cannot be written; the video is in " + output.video);
  }

 private:
  // After the last check that can refuse the request: an error comes alone.
  void say_notices() {
    for (const std::string& text : report_.plan.notices) console_.warn(text);
    for (const auto& [name, value] : report_.engine.environment) {
      console_.warn(name + "=" + value +
                    " is set and can change bytes; it is recorded as part of the engine");
    }
  }

  Request& request() { return report_.plan.request; }

  PromptIds tokenize() {
    const fs::path folder = checkpoint_.dir / "tokenizer";
    const Tokenizer tokenizer(folder);
    request().checkpoint.tokenizer = tokenizer.sha256();
    if (expected_ && expected_->checkpoint.tokenizer != tokenizer.sha256())
      fail_identity("tokenizer");
    PromptIds ids{.prompt = encode_prompt(tokenizer, "--prompt", request().prompt), .negative = {}};
    if (request().uses_guidance())
      ids.negative = encode_prompt(tokenizer, "--negative-prompt", request().negative_prompt);
    return ids;
  }

  std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& flag,
                                     const std::string& text) {
    TokenizedPrompt prompt = tokenizer.encode_padded(text, request().max_text_tokens);
    if (!prompt.cut_text.empty()) {
      const std::string what = flag + " is longer than the " +
                               std::to_string(request().max_text_tokens) +
                               " tokens this model reads; cut off: '" + prompt.cut_text + "'";
      if (options_.strict_prompt) throw UsageError(what + "; shorten it, or drop --strict-prompt");
      console_.warn(what);
    }
    return prompt.ids;
  }

  void set_identity(std::string& known, const std::string& found,
                    std::string CheckpointIdentity::*part, const char* name) {
    if (expected_ && expected_->checkpoint.*part != found) fail_identity(name);
    if (!known.empty() && known != found) {
      console_.warn(std::string("the latents were made with another ") + name +
                    " than the one in " + checkpoint_.dir.string());
    }
    known = found;
  }

  [[noreturn]] void fail_identity(const std::string& name) const {
    throw DataError(checkpoint_.dir.string() + ": the " + name + " is not the one in " +
                    options_.from +
                    " (its SHA-256 differs); give --model the checkpoint that video was made with");
  }

  template <typename F>
  void in_stage(Stage stage, const F& work) {
    release_free_memory();
    reset_peak_resident();
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    report_.stages.push_back(
        {stage_name(stage), seconds.count(), peak_resident_bytes(), predicted_bytes(stage)});
  }

  int64_t predicted_bytes(Stage stage) {
    const MemoryPlan plan = plan_memory(checkpoint_, request(), report_.plan.placement.threads);
    return stage == Stage::kEncodeText ? plan.encode_text
           : stage == Stage::kDenoise  ? plan.denoise
           : stage == Stage::kDecode   ? plan.decode
                                       : 0;
  }

  void write_outputs(const at::Tensor& frames) {
    const OutputPlan& output = report_.plan.output;
    const io::FramesView view{static_cast<const uint8_t*>(frames.const_data_ptr()),
                              static_cast<int>(frames.size(0)),
                              {static_cast<int>(frames.size(2)), static_cast<int>(frames.size(1))}};
    const auto progress = [&](int done, int total) {
      monitor_.progress({Stage::kWrite, done, total});
    };
    if (!output.frames_dir.empty()) io::write_png_frames(output.frames_dir, view, progress);
    io::write_video(output.video, view,
                    {.frame_rate = output.frame_rate, .crf = output.crf, .metadata = metadata()},
                    progress);
  }

  std::map<std::string, std::string> metadata() {
    return {{"comment", nlohmann::json{{"cogvx_request", request_to_json(request())},
                                       {"cogvx_engine", engine_to_json(report_.engine)}}
                            .dump()}};
  }

  const Options& options_;
  Checkpoint checkpoint_;
  Console& console_;
  ThreadPool pool_;
  CpuOps ops_;
  Monitor monitor_;
  RunReport report_;
  std::optional<Request> expected_;
};

void check_repetition(const Options& options, const Request& request, Console& console) {
  if (options.from.empty()) return;
  if (sidecar_engine(options.from) != engine_to_json(find_engine())) {
    console.warn(options.from +
                 " was made by another engine (build, libraries or instruction set); the bytes may "
                 "differ slightly");
  }
  if (options.scheduler == scheduler_kind_name(request.scheduler.kind) &&
      sidecar_request(options.from).scheduler != request.scheduler) {
    throw DataError(options.model + ": its scheduler configuration is not the one in " +
                    options.from + "; give --model the checkpoint that video was made with");
  }
}

}  // namespace

void generate(const Options& options, Console& console, const std::atomic<int>& stop_signal) {
  check_options(options);
  Checkpoint checkpoint = open_checkpoint(options.model);
  if (!options.decode_latents.empty()) {
    const SavedLatents saved = read_latents(options.decode_latents);
    Run run(options, checkpoint, resolve_decoding(options, checkpoint, saved.request), console,
            stop_signal);
    run.decode_and_write(saved.latents_LCYX);
    run.finish();
    return;
  }
  RunPlan plan = resolve(options, checkpoint);
  check_repetition(options, plan.request, console);
  if (options.dump_config) {
    std::cout << options_to_json(resolved_options(options, plan)).dump(2) << std::endl;
    return;
  }
  Run run(options, std::move(checkpoint), std::move(plan), console, stop_signal);
  const at::Tensor latents = run.generate_latents();
  run.save_latents(latents);
  run.decode_and_write(latents);
  run.finish();
}

}  // namespace cogvx::app
