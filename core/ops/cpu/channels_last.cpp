#include "core/ops/cpu/channels_last.h"

#include <ATen/ops/empty.h>

namespace cogvx::cpu {

at::Tensor empty_channels_last(at::IntArrayRef sizes_CTYX, const at::TensorOptions& options) {
  return at::empty({sizes_CTYX[1], sizes_CTYX[2], sizes_CTYX[3], sizes_CTYX[0]}, options)
      .permute({3, 0, 1, 2});
}

bool is_channels_last(const at::Tensor& x_CTYX) {
  return x_CTYX.permute({1, 2, 3, 0}).is_contiguous();
}

at::Tensor channels_last(const at::Tensor& x_CTYX, bool even) {
  const int64_t channels = x_CTYX.size(0);
  const bool odd = even && channels % 2 != 0;
  if (!odd && is_channels_last(x_CTYX)) return x_CTYX;
  at::Tensor y_CTYX = empty_channels_last(
      {channels + (odd ? 1 : 0), x_CTYX.size(1), x_CTYX.size(2), x_CTYX.size(3)}, x_CTYX.options());
  y_CTYX.narrow(0, 0, channels).copy_(x_CTYX);
  if (odd) y_CTYX.select(0, channels).zero_();
  return y_CTYX;
}

}  // namespace cogvx::cpu
