#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/monitor.h"
#include "core/ops/ops.h"
#include "core/weights/config.h"
#include "core/weights/weight_map.h"

namespace cogvx {

// Encodes every prompt with a T5 v1.1 encoder, one layer at a time from the mapped file: a layer's
// weights are read, used for all prompts and dropped, so that the whole encoder never lies in
// memory. Padding is attended to, as in diffusers.
//   ids of each prompt (equal lengths) -> states_TE in `dtype`, one per prompt, on the host
// `weights` must have been mapped from text_encoder/ and is used up. Source: transformers
// T5EncoderModel. Throws DataError for an id beyond the vocabulary.
std::vector<at::Tensor> encode_prompts(const std::vector<std::vector<int64_t>>& prompt_ids,
                                       const T5Config& config, WeightMap& weights,
                                       at::ScalarType dtype, Ops& ops, const Monitor& monitor);

// T5's bidirectional bucket of key position minus query position.
int64_t relative_position_bucket(int64_t relative, int64_t num_buckets, int64_t max_distance);

}  // namespace cogvx
