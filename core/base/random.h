#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace cogvx {

// As torch.Generator("cpu").manual_seed(seed).
at::Generator make_generator(uint64_t seed);

// As torch.randn(shape, generator=..., dtype=...): a half-precision draw is not a rounded fp32
// draw.
at::Tensor draw_normal(const std::vector<int64_t>& shape, at::Generator& generator,
                       at::ScalarType dtype);

// Normal noise of a shape and dtype, wherever it is drawn.
using NoiseDraw = std::function<at::Tensor(const std::vector<int64_t>&, at::ScalarType)>;

// Draws from this generator, which must outlive it.
NoiseDraw draws_from(at::Generator& generator);

}  // namespace cogvx
