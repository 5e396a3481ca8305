#include "tests/bench/bench_case.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <c10/util/accumulate.h>

#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/pipeline/flop_count.h"
#include "core/text/t5_encoder.h"
#include "core/transformer/transformer.h"
#include "core/vae/tiles.h"
#include "core/weights/checkpoint.h"
#include "tests/support/cpu_path.h"
#include "tests/support/tiny_checkpoint.h"

// Shape letters as in core/: L latent frames, C channels, Y X latent height and width; R rows, K
// inputs, N outputs or rows of a sequence, H heads, E head dim.
namespace cogvx::bench {
namespace {

constexpr int64_t kTimestep = 999;

// The request whose latents have the size that the arguments say, for core/pipeline/flop_count.h.
Request sized_request(const CaseArguments& a, const Checkpoint& checkpoint) {
  Request request;
  request.num_frames = decoded_frames(a.number("frames"));
  request.height = a.number("height") * kSpatialCompression;
  request.width = a.number("width") * kSpatialCompression;
  request.max_text_tokens = checkpoint.transformer.max_text_seq_length;
  request.dtype = a.dtype();
  return request;
}

// One component's weights and what computes with them.
struct Opened {
  CpuOps ops;
  Checkpoint checkpoint;
  WeightMap weights;

  Opened(const CaseArguments& a, ThreadPool& pool, const char* component)
      : ops(pool, test::cpu_path()),
        checkpoint(open_checkpoint(a.text("checkpoint"))),
        weights(checkpoint.dir / component, "diffusion_pytorch_model") {}
};

struct Step : Opened {
  Transformer transformer;
  IdentityExchange exchange{};
  at::Tensor latents_LCYX{};
  std::vector<at::Tensor> texts_TE{};  // unconditional, conditional

  Step(const CaseArguments& a, ThreadPool& pool)
      : Opened(a, pool, "transformer"),
        transformer(checkpoint.transformer, weights, a.dtype(), ops) {}
};

// Both guidance branches of a denoising step.
BenchCase step_case(const CaseArguments& a, ThreadPool& pool) {
  auto step = std::make_shared<Step>(a, pool);
  const TransformerConfig& config = step->checkpoint.transformer;
  step->latents_LCYX = bench_input(
      "latents", {a.number("frames"), config.in_channels, a.number("height"), a.number("width")},
      a.dtype());
  for (const char* name : {"negative", "prompt"}) {
    step->texts_TE.push_back(
        bench_input(name, {config.max_text_seq_length, config.text_embed_dim}, a.dtype()));
  }
  const Request request = sized_request(a, step->checkpoint);
  const PassShare whole = whole_pass(request, step->checkpoint);
  return {.flops = 2.0 * transformer_flops(request, step->checkpoint, whole).total(),
          .iterate = [step] {
            std::vector<at::Tensor> predictions;
            for (const at::Tensor& text_TE : step->texts_TE) {
              predictions.push_back(step->transformer.forward(step->latents_LCYX, text_TE,
                                                              kTimestep, step->exchange));
            }
            return at::stack(predictions);
          }};
}

struct Decode : Opened {
  VaeDecoder decoder;

  Decode(const CaseArguments& a, ThreadPool& pool)
      : Opened(a, pool, "vae"), decoder(checkpoint.vae, weights, a.dtype(), ops) {}
};

// One tile over all of it.
BenchCase decode_case(const CaseArguments& a, ThreadPool& pool) {
  auto decode = std::make_shared<Decode>(a, pool);
  const int64_t height = a.number("height"), width = a.number("width");
  const at::Tensor latents_CLYX = bench_input(
      "latents", {decode->checkpoint.vae.latent_channels, a.number("frames"), height, width},
      a.dtype());
  const Request request = sized_request(a, decode->checkpoint);
  return {
      .flops = static_cast<double>(decode_tile_flops(request, decode->checkpoint, height, width)),
      .iterate = [decode, latents_CLYX, height, width] {
        return decode_tile(decode->decoder, latents_CLYX, {0, 0, height, width});
      }};
}

// Loads the encoder and encodes one prompt, as every video does once.
BenchCase text_case(const CaseArguments& a, ThreadPool& pool) {
  auto ops = std::make_shared<CpuOps>(pool, test::cpu_path());
  const Checkpoint checkpoint = open_checkpoint(a.text("checkpoint"));
  std::vector<int64_t> ids(checkpoint.transformer.max_text_seq_length);
  for (size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<int64_t>(i * 97 % checkpoint.text_encoder.vocab_size);
  Request request;
  request.max_text_tokens = checkpoint.transformer.max_text_seq_length;
  return {.flops = static_cast<double>(text_flops(request, checkpoint)),
          .iterate = [ops, checkpoint, ids, dtype = a.dtype()] {
            WeightMap weights(checkpoint.dir / "text_encoder", "model");
            return encode_prompts({ids}, checkpoint.text_encoder, weights, dtype, *ops, {})[0];
          }};
}

BenchCase attention_case(const CaseArguments& a, ThreadPool& pool) {
  auto ops = std::make_shared<CpuOps>(pool, test::cpu_path());
  const int64_t rows = a.number("rows"), heads = a.number("heads"), width = 64;
  const at::Tensor qkv_H3NE = at::empty({heads, 3, rows, width}, a.dtype());
  int64_t part = 0;
  for (const char* name : {"q", "k", "v"})
    qkv_H3NE.select(1, part++).copy_(bench_input(name, {heads, rows, width}, a.dtype()));
  std::vector<AttentionRun> runs;
  for (int64_t head = 0; head < heads; ++head)
    runs.push_back({head, 0, ceil_div(rows, kBlockRows)});
  return {.flops = 4.0 * static_cast<double>(rows * rows * width * heads),
          .iterate = [ops, qkv_H3NE, runs, dtype = a.dtype()] {
            at::Tensor out_HNE = at::empty({qkv_H3NE.size(0), qkv_H3NE.size(2), qkv_H3NE.size(3)},
                                           qkv_H3NE.options());
            ops->attention(qkv_H3NE, runs, out_HNE);
            return out_HNE;
          }};
}

BenchCase linear_case(const CaseArguments& a, ThreadPool& pool) {
  auto ops = std::make_shared<CpuOps>(pool, test::cpu_path());
  const int64_t rows = a.number("rows"), in = a.number("in"), out = a.number("out");
  const LinearWeights weights = ops->pack_linear(bench_input("weight", {out, in}, a.dtype()),
                                                 bench_input("bias", {out}, a.dtype()));
  const at::Tensor x_RK = bench_input("x", {rows, in}, a.dtype());
  return {.flops = 2.0 * static_cast<double>(rows * in * out),
          .iterate = [ops, weights, x_RK] { return ops->linear(x_RK, weights, {}); }};
}

}  // namespace

CaseArguments::CaseArguments(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t sign = word.find('=');
    if (sign == std::string::npos) throw UsageError("argument '" + word + "' is no name=value");
    values_[word.substr(0, sign)] = word.substr(sign + 1);
  }
}

const std::string& CaseArguments::text(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw UsageError("the argument " + name + "=... is missing");
  return found->second;
}

int64_t CaseArguments::number(const std::string& name) const {
  const std::string& value = text(name);
  size_t used = 0;
  int64_t number = 0;
  try {
    number = std::stoll(value, &used);
  } catch (const std::logic_error&) {
    used = 0;
  }
  if (used == 0 || used != value.size() || number < 1)
    throw UsageError(name + " is '" + value + "', wanted a whole number of at least 1");
  return number;
}

at::ScalarType CaseArguments::dtype() const {
  const std::string& value = text("dtype");
  if (value == "fp32") return at::kFloat;
  if (value == "bf16") return at::kBFloat16;
  throw UsageError("dtype is '" + value + "', wanted fp32 or bf16");
}

at::Tensor bench_input(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  std::vector<float> values =
      test::golden_values("bench/" + name, c10::multiply_integers(shape), /*mean=*/0, /*std=*/1);
  return at::from_blob(values.data(), shape, at::kFloat)
      .to(dtype, /*non_blocking=*/false,
          /*copy=*/true);
}

BenchCase load_case(const CaseArguments& arguments, ThreadPool& pool) {
  const std::string& kind = arguments.text("kind");
  if (kind == "step") return step_case(arguments, pool);
  if (kind == "decode") return decode_case(arguments, pool);
  if (kind == "text") return text_case(arguments, pool);
  if (kind == "attention") return attention_case(arguments, pool);
  if (kind == "linear") return linear_case(arguments, pool);
  if (kind == "brgemm") return brgemm_case(arguments, pool);
  throw UsageError("kind is '" + kind +
                   "', wanted step, decode, text, attention, linear or brgemm");
}

}  // namespace cogvx::bench
