#include "core/vae/pixels.h"

#include <ATen/ops/empty.h>

#include <cstdint>

namespace cogvx {
namespace {

constexpr int64_t kValues = 256;

// What each byte becomes.
at::Tensor table_of(at::ScalarType dtype) {
  at::Tensor table = at::empty({kValues}, at::kFloat);
  for (int64_t i = 0; i < kValues; ++i)
    table.mutable_data_ptr<float>()[i] = static_cast<float>(i) / 255.0F * 2.0F - 1.0F;
  return table.to(dtype);
}

template <typename T>
void look_up(const at::Tensor& rgb_FHWC, const at::Tensor& table, at::Tensor& pixels_CFHW) {
  const auto* bytes = rgb_FHWC.const_data_ptr<uint8_t>();
  const auto* values = static_cast<const T*>(table.const_data_ptr());
  auto* pixels = static_cast<T*>(pixels_CFHW.mutable_data_ptr());
  const int64_t channels = pixels_CFHW.size(0);
  const int64_t count = pixels_CFHW.stride(0);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t c = 0; c < channels; ++c) pixels[c * count + i] = values[bytes[channels * i + c]];
  }
}

}  // namespace

at::Tensor pixels_from_bytes(const at::Tensor& rgb_FHWC, at::ScalarType dtype) {
  const at::Tensor rgb = rgb_FHWC.contiguous();
  at::Tensor pixels_CFHW = at::empty({rgb.size(3), rgb.size(0), rgb.size(1), rgb.size(2)},
                                     at::TensorOptions().dtype(dtype));
  const at::Tensor table = table_of(dtype);
  // Values are moved as they are, so that their width is all there is to know.
  if (table.element_size() == sizeof(uint32_t)) {
    look_up<uint32_t>(rgb, table, pixels_CFHW);
  } else {
    look_up<uint16_t>(rgb, table, pixels_CFHW);
  }
  return pixels_CFHW;
}

}  // namespace cogvx
