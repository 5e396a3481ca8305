#pragma once

#include "core/weights/config.h"
#include "core/weights/safetensors.h"

namespace cogvx {

// Names and shapes of all tensors of a component in diffusers' checkpoints; the transformer's are
// in core/transformer/tensor_list.h, by which it loads.
TensorShapes vae_tensors(const VaeConfig& config);
// Without the second name that a tied embedding may have.
TensorShapes t5_tensors(const T5Config& config);

}  // namespace cogvx
