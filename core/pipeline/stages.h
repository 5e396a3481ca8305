#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/monitor.h"
#include "core/ops/ops.h"
#include "core/pipeline/request.h"
#include "core/pipeline/run_watch.h"
#include "core/pipeline/work_exchange.h"
#include "core/schedule/scheduler.h"
#include "core/transformer/sequence_exchange.h"
#include "core/transformer/transformer.h"
#include "core/vae/decoder.h"

// The stages of a run, each over a list of requests or one of them, so that every component is
// loaded once and gone before the next. diffusers: pipelines/cogvideo/pipeline_cogvideox.py.
namespace cogvx {

// Token ids of one request, all of the transformer's text length; no negative ids without guidance.
struct PromptIds {
  std::vector<int64_t> prompt;
  std::vector<int64_t> negative;
};

// Encoded prompts [T, text_embed_dim]; `negative` undefined without guidance.
struct TextStates {
  at::Tensor prompt;
  at::Tensor negative;
};

struct EncodedTexts {
  std::vector<TextStates> states;  // one per request
  std::vector<int64_t> encoded;    // by request, of its prompts those that no earlier one has
  std::string sha256;              // of the text encoder
};
// Loads the text encoder layer by layer and drops it. Equal prompts are encoded once.
EncodedTexts encode_texts(const Checkpoint& checkpoint, const std::vector<PromptIds>& requests,
                          at::ScalarType dtype, Ops& ops, const Monitor& monitor);

// All that is needed to go on denoising, here or anywhere.
struct DenoiseState {
  at::Tensor latents_LCYX;
  SchedulerMemory memory;
  at::Generator generator;
  int64_t next_step = 0;
};
// What is there before the first noise is drawn.
struct Beginning {
  at::Generator generator;  // that samples of an input were drawn from
  at::Tensor video_LCYX{};  // Conditions::video_LCYX
};
DenoiseState initial_state(const Request& request, const LatentShape& shape, WorkExchange& work,
                           Beginning beginning);
// Of a request that begins with noise alone.
DenoiseState initial_state(const Request& request, const LatentShape& shape, WorkExchange& work);

// What denoising works with; all of it must outlive the call.
struct Denoising {
  const Request& request;
  Transformer& transformer;
  const TextStates& text;
  SequenceExchange& exchange;
  WorkExchange& work;
  std::function<void(const DenoiseState&)> after_step{};  // may be empty
  RunWatch watch{};
  at::Tensor condition_LCYX{};  // Conditions::channels_LCYX
};
// Runs the remaining steps. Each guidance branch is one forward pass of batch 1; guidance and the
// scheduler step are fp32. Throws NumericError when latents stop being finite. Whatever is thrown
// leaves `state` as the last finished step did.
void denoise(const Denoising& run, DenoiseState& state, const Monitor& monitor);

// What decoding works with; all of it must outlive the call.
struct Decoding {
  const Request& request;
  const VaeDecoder& decoder;
  double scaling_factor;
  WorkExchange& work;
  RunWatch watch{};
};
// latents_LCYX -> RGB frames [F, H, W, 3] uint8 where the tiles come together, an undefined tensor
// elsewhere. Throws NumericError when frames are not finite; notices a video of one colour.
at::Tensor decode_latents(const Decoding& run, const at::Tensor& latents_LCYX,
                          const Monitor& monitor);

}  // namespace cogvx
