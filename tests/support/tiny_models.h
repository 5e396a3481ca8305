#pragma once

#include <string>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/pipeline/conditions.h"
#include "core/pipeline/encode.h"
#include "core/pipeline/request.h"
#include "core/pipeline/stages.h"
#include "core/text/t5_encoder.h"
#include "core/transformer/transformer.h"
#include "core/vae/decoder.h"
#include "core/vae/encoder.h"
#include "core/vae/tiles.h"
#include "core/weights/checkpoint.h"
#include "tests/support/golden.h"
#include "tests/support/test_paths.h"
#include "tests/support/tiny_checkpoint.h"

namespace cogvx::test {

// A tiny checkpoint on disk, opened as the program opens one.
class TinyCheckpoint {
 public:
  explicit TinyCheckpoint(const std::string& name, StoredDtype stored = StoredDtype::kFp32);
  const Checkpoint& operator*() const { return checkpoint_; }
  const Checkpoint* operator->() const { return &checkpoint_; }

 private:
  TemporaryFolder folder_;
  Checkpoint checkpoint_;
};

Transformer load_transformer(const Checkpoint& checkpoint, at::ScalarType dtype, Ops& ops);
VaeDecoder load_vae(const Checkpoint& checkpoint, at::ScalarType dtype, Ops& ops);
VaeEncoder load_vae_encoder(const Checkpoint& checkpoint, at::ScalarType dtype, Ops& ops);
// States of one prompt, [T, D].
at::Tensor encode_ids(const Checkpoint& checkpoint, const at::Tensor& ids_1T, at::ScalarType dtype,
                      Ops& ops);
// latents_1CtYX -> video_1CTYX, tile by tile.
at::Tensor decode_video(const Checkpoint& checkpoint, const VaeDecoder& decoder,
                        const at::Tensor& latents_1CtYX, bool tiling);
// pixels_1CTYX -> moments_1CtYX, in one process.
at::Tensor encode_moments(const Checkpoint& checkpoint, const VaeEncoder& encoder,
                          const at::Tensor& pixels_1CTYX, bool tiling);

// The request that a pipeline case's params describe.
Request golden_request(const Checkpoint& checkpoint, const nlohmann::json& params, uint64_t seed,
                       at::ScalarType dtype);
// RGB [F, H, W, 3] of what a pipeline case's request begins with; undefined for text alone.
at::Tensor golden_rgb(const Request& request, const GoldenCase& golden);
// Latents before the first step, after it and after the last, each [1, L, C, Y, X].
struct DenoisedLatents {
  at::Tensor initial;
  at::Tensor first;
  at::Tensor final;
};
// A request's input as the denoising gets it, and the generator its samples came from.
struct GoldenInput {
  Conditions conditions;
  at::Generator generator;
};
Conditions golden_conditions(const Request& request, const Checkpoint& checkpoint,
                             const VaeEncoder& encoder, const at::Tensor& rgb_FHW3,
                             at::Generator& generator);
DenoisedLatents run_denoise(const Request& request, const Checkpoint& checkpoint,
                            Transformer& transformer, const TextStates& text,
                            const GoldenInput& input);
DenoisedLatents run_denoise(const Request& request, const Checkpoint& checkpoint,
                            Transformer& transformer, const TextStates& text);

// latents_1LCYX -> RGB frames [F, H, W, 3].
at::Tensor decode_frames(const Request& request, const Checkpoint& checkpoint,
                         const VaeDecoder& decoder, const at::Tensor& latents_1LCYX);

}  // namespace cogvx::test
