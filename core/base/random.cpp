#include "core/base/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>

namespace cogvx {

at::Generator make_generator(uint64_t seed) { return at::detail::createCPUGenerator(seed); }

at::Tensor draw_normal(const std::vector<int64_t>& shape, at::Generator& generator,
                       at::ScalarType dtype) {
  return at::randn(shape, generator, at::TensorOptions().dtype(dtype));
}

NoiseDraw draws_from(at::Generator& generator) {
  return [&generator](const std::vector<int64_t>& shape, at::ScalarType dtype) {
    return draw_normal(shape, generator, dtype);
  };
}

}  // namespace cogvx
