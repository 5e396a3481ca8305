#include "app/video_run.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "app/json_text.h"
#include "app/outputs.h"
#include "app/standard_streams.h"
#include "app/state_keeper.h"
#include "core/base/errors.h"
#include "core/base/random.h"
#include "core/base/sha256.h"

namespace cogvx::app {

VideoRun::VideoRun(const Session& session, Item& item, std::vector<StageReport> stages)
    : session_(session),
      item_(item),
      trace_(item.options.trace, session.ranks),
      monitor_(session.monitor()),
      meter_(session.life, session.computer.ops(), session.host_plan(item.plan),
             item.plan.device_memory, report_.own.stages) {
  report_.plan = std::move(item.plan);
  report_.engine = session.computer.engine();
  report_.kernels = &session.computer.kernels();
  report_.own.stages = std::move(stages);
  // Latents were made from inputs that this run does not read.
  if (!item.only_decodes()) report_.inputs = input_options(item.options).dump();
}

void VideoRun::make(ItemTexts texts) {
  if (!item_.saved.path.empty()) record_continuation(item_.saved);
  try {
    if (item_.saved.latents) {
      decode_and_write(item_.saved.latents->latents_LCYX);
    } else {
      generate_from(item_.saved.state, std::move(texts));
    }
  } catch (Error& error) {
    keep_trace(error);
    throw;
  }
}

void VideoRun::record_continuation(const Continuation& saved) {
  report_.continued = {saved.path, saved.state ? saved.state->state.next_step : 0, saved.engine()};
  if (!saved.latents) return;
  request().checkpoint = saved.request().checkpoint;
  request().input_sha256 = saved.request().input_sha256;
  request().loras = saved.request().loras;
  latents_path_ = saved.path;
}

void VideoRun::generate_from(const std::optional<SavedState>& saved, ItemTexts texts) {
  if (session_.ranks.is_first()) {
    request().checkpoint.tokenizer = session_.components.identity().tokenizer;
    request().checkpoint.text_encoder = session_.components.identity().text_encoder;
    extent_.prompts = report_.own.units.prompts = texts.prompts;
  }
  const TextStates text = shared_texts(texts.states);
  at::Generator generator = make_generator(request().seed);
  const Conditions conditions =
      item_.rgb_FHW3.defined() ? encode_input_video(generator) : Conditions{};
  DenoiseState state;
  meter_.run(Stage::kDenoise, [&] {
    state = saved ? saved->state
                  : initial_state(request(), latent_shape(request(), session_.checkpoint),
                                  session_.ranks.work(), {generator, conditions.video_LCYX});
    extent_.first_step = state.next_step;
    session_.ranks.agree("the latents before the first step", state.latents_LCYX);
    run_steps(text, conditions, state);
    extent_.steps = state.next_step;
  });
  session_.together([&] {
    if (session_.ranks.is_first()) keep_latents(state.latents_LCYX);
  });
  decode_and_write(state.latents_LCYX);
}

Conditions VideoRun::encode_input_video(at::Generator& generator) {
  Conditions conditions;
  meter_.run(Stage::kEncodeVideo, [&] {
    const VaeEncoder& encoder = session_.components.encoder();
    request().checkpoint.vae_encoder = session_.components.identity().vae_encoder;
    session_.together([&] {
      conditions = encode_input(
          {request(), session_.checkpoint.vae, encoder,
           latent_shape(request(), session_.checkpoint).frames, session_.ranks.work(), watch()},
          item_.rgb_FHW3, generator, monitor_);
    });
    session_.components.end_stage();
  });
  extent_.videos = 1;
  return conditions;
}

// From the process that has the text encoder to all.
TextStates VideoRun::shared_texts(const TextStates& own) {
  const TensorShape shape{
      {request().max_text_tokens, session_.checkpoint.transformer.text_embed_dim}, request().dtype};
  const auto share = [&](const at::Tensor& states) {
    return session_.ranks.work().made_once(shape, [&] { return states; });
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

void VideoRun::run_steps(const TextStates& text, const Conditions& conditions,
                         DenoiseState& state) {
  session_.life.show({Stage::kLoad});
  Transformer& transformer = session_.components.transformer(std::move(item_.loras), monitor_);
  request().checkpoint.transformer = session_.components.identity().transformer;
  session_.ranks.agree("the transformer", request().checkpoint.transformer);
  const OutputPlan& output = report_.plan.output;
  StateKeeper keeper(output, request(), state, session_.console,
                     item_.way_on("--resume", output.state));
  const auto rescue = [&] { return session_.ranks.is_first() ? keeper.keep_interrupted() : ""; };
  const Life::Rescue at_once(session_.life, rescue);
  const auto after_step = [&](const DenoiseState& now) {
    trace_.collect();
    session_.ranks.agree("the latents after step " + std::to_string(now.next_step),
                         now.latents_LCYX);
    if (session_.ranks.is_first()) keeper.after_step(now);
  };
  // A stop that was asked for, and another process that has gone.
  try {
    session_.together([&] {
      denoise({request(), transformer, text, session_.ranks.sequence(), session_.ranks.work(),
               after_step, watch(), conditions.channels_LCYX},
              state, monitor_);
    });
  } catch (Interrupted& stop) {
    stop.add(rescue());
    throw;
  } catch (DistributedError& loss) {
    loss.add(rescue());
    throw;
  }
  session_.components.end_stage();
}

// Hours of work are on disk from here on, if need be in another place than was asked for.
void VideoRun::keep_latents(const at::Tensor& latents) {
  const OutputPlan& output = report_.plan.output;
  const SavedLatents saved{request(), engine_to_json(report_.engine).dump(), latents};
  latents_path_ = write_latents_somewhere(output, saved, session_.console);
  session_.console.info("latents are safe in " + latents_path_);
  remove_file(output.state);
}

void VideoRun::decode_and_write(const at::Tensor& latents) {
  try {
    report_.sha256_latents = sha256_hex(latents.contiguous().const_data_ptr(), latents.nbytes());
    at::Tensor frames;
    meter_.run(Stage::kDecode, [&] { frames = decode(latents); });
    trace_.collect();
    collect_reports();
    session_.together([&] {
      if (session_.ranks.is_first()) write(frames);
    });
  } catch (Error& error) {
    if (!latents_path_.empty()) {
      error.add("; the final latents are safe in " + latents_path_ + ", go on with " +
                way_on_from_latents());
    }
    throw;
  }
}

std::string VideoRun::way_on_from_latents() const {
  const OutputPlan& output = report_.plan.output;
  const bool in_place = latents_path_ == output.latents || latents_path_ == item_.saved.path;
  const std::string flag = "--decode-latents";
  return in_place ? item_.way_on(flag, latents_path_) : flag + " " + latents_path_;
}

void VideoRun::write(const at::Tensor& frames) {
  report_.sha256_frames = sha256_hex(frames.const_data_ptr(), frames.nbytes());
  report_.frames = frames.size(0);
  Outputs outputs(report_.plan.output);
  meter_.run(Stage::kWrite, [&] { outputs.prepare(frames, metadata(), monitor_); });
  write_trace();
  outputs.commit(json_text(report_to_json(report_), /*indent=*/2) + "\n");
}

at::Tensor VideoRun::decode(const at::Tensor& latents) {
  const VaeDecoder& decoder = session_.components.decoder();
  request().checkpoint.vae = session_.components.identity().vae;
  const LatentShape shape = latent_shape(request(), session_.checkpoint);
  at::Tensor frames;
  session_.together([&] {
    frames = decode_latents({request(), decoder, session_.checkpoint.vae.scaling_factor,
                             session_.ranks.work(), watch()},
                            latents.narrow(0, shape.padding, shape.decoded()), monitor_);
  });
  session_.components.end_stage();
  return frames;
}

// What the others did, before they leave.
void VideoRun::collect_reports() {
  Ranks& ranks = session_.ranks;
  report_.all_units = all_units(request(), session_.checkpoint, extent_);
  const int branches =
      request().uses_guidance() ? ranks.work().owns_branch(0) + ranks.work().owns_branch(1) : 1;
  report_.own.moved = moved_since(ranks.bytes_moved(), item_.moved_before);
  report_.own.predicted = ranks.predicted_bytes(
      pass_shape(request(), session_.checkpoint, session_.computer.ops().device()),
      (extent_.steps - extent_.first_step) * branches);
  if (ranks.is_first() && ranks.mesh().sp > 1)
    session_.console.info(traffic_text(report_.own.moved, report_.own.predicted));
  std::vector<std::string> reports = ranks.gather_at_first(rank_report_to_json(report_.own).dump());
  if (!reports.empty()) report_.others.assign(reports.begin() + 1, reports.end());
}

std::map<std::string, std::string> VideoRun::metadata() {
  if (!report_.plan.output.with_metadata) return {};
  return {{"comment", json_text({{"cogvx_request", request_to_json(request())},
                                 {"cogvx_engine", engine_to_json(report_.engine)}})}};
}

void VideoRun::write_trace() { trace_.write(request(), report_.engine, report_.plan.placement); }

// What was traced up to a failure tells most.
void VideoRun::keep_trace(Error& error) {
  if (trace_.empty()) return;
  try {
    write_trace();
    error.add("; the trace so far is in " + trace_.path());
  } catch (const OutputError& unwritten) {
    session_.console.warn(unwritten.what());
  }
}

void VideoRun::finish() {
  const OutputPlan& output = report_.plan.output;
  if (session_.ranks.is_first()) {
    const bool for_safety = item_.in_batch() ? latents_path_ == output.safe_latents
                                             : !item_.only_decodes() && !latents_path_.empty();
    if (!output.keep_latents && for_safety) remove_file(latents_path_);
    std::cout << (item_.options.json ? json_text(result()) : output.video) << "\n";
    finish_standard_output("the video is in " + output.video);
  }
  session_.together([&] {
    if (!session_.ranks.is_first() || !output.keep_latents || latents_path_ == output.latents)
      return;
    throw OutputError("--save-latents " + output.latents +
                      " could not be written; the latents are in " + latents_path_);
  });
}

nlohmann::json VideoRun::result() const {
  nlohmann::json result = report_to_json(report_);
  if (item_.in_batch()) {
    result["index"] = item_.index;
    result["loads"] = loads_to_json(session_.components.loads());
  }
  return result;
}

}  // namespace cogvx::app
