#pragma once

#include "core/base/random.h"
#include "core/pipeline/work_exchange.h"

namespace cogvx {

// Draws once, at full shape, for everyone. Both must outlive it.
inline NoiseDraw shared_noise(WorkExchange& work, at::Generator& generator) {
  return [&](const std::vector<int64_t>& shape, at::ScalarType dtype) {
    return work.made_once({shape, dtype}, [&] { return draw_normal(shape, generator, dtype); });
  };
}

}  // namespace cogvx
