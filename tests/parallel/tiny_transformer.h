#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "core/transformer/sequence_exchange.h"
#include "core/transformer/transformer.h"
#include "core/weights/config.h"

namespace cogvx::test {

struct TinyConfig {
  int64_t heads = 3;
  int64_t head_dim = 64;
  bool rotary = false;
  int64_t layers = 2;
  bool conditioned = false;  // twice the channels in: image-to-video, control
  bool learned = false;      // positions of 3 latent frames of 10 x 18 patches, with 37 text rows
  int64_t patch_size_t = 0;
  bool ofs = false;
};
TransformerConfig tiny_transformer_config(const TinyConfig& tiny);

// A transformer/ folder with random weights, large enough for attention and gates to matter.
void write_random_checkpoint(const std::filesystem::path& folder, const TransformerConfig& config,
                             uint64_t seed);

// One forward pass's inputs, random; latents of that grid of patches.
struct ForwardInputs {
  at::Tensor latents_LCYX;
  at::Tensor text_TE;
  int64_t timestep = 0;
};
ForwardInputs random_inputs(const TransformerConfig& config, PatchGrid grid, int64_t text_rows,
                            at::ScalarType dtype, uint64_t seed);

// Loads the checkpoint into a Transformer of its own, with a thread pool of its own, and runs it
// once per input through `exchange`: what one process does.
std::vector<at::Tensor> run_transformer(const std::filesystem::path& folder,
                                        const TransformerConfig& config, at::ScalarType dtype,
                                        int threads, SequenceExchange& exchange,
                                        const std::vector<ForwardInputs>& inputs);

}  // namespace cogvx::test
