#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "core/ops/cuda/host_grid.h"

// The run-time guard of the kernels: each is run on the device and, from the same inputs, on the
// host; the outputs must be the same bytes.
namespace cogvx::cuda {

// Device: void* upload(const void* from, size_t bytes), null when there is no memory;
// int download(void* to, const void* from, size_t bytes), waits for what was launched;
// void release(void*); int launch(const Call&); const char* error_text(int code).
template <typename Device>
class KernelCheck {
 public:
  KernelCheck(Device& device, CheckShape shape) : device_(device), shape_(shape) {}

  // What went wrong first, in one line; empty when every kernel gave its host function's bytes.
  std::string run() {
    std::string wrong = run_stored<float>(Storage::kFp32, "fp32");
    if (wrong.empty()) wrong = run_stored<Bf16>(Storage::kBf16, "bf16");
    if (wrong.empty()) wrong = run_stored<Half>(Storage::kFp16, "fp16");
    return wrong;
  }

 private:
  using Bytes = std::vector<char>;
  using Pointers = std::vector<char*>;

  template <typename T>
  std::string run_stored(Storage storage, const char* type) {
    std::string wrong = norm<T>(storage);
    if (wrong.empty()) wrong = gate<T>(storage);
    if (wrong.empty()) wrong = qkv<T>(storage);
    if (wrong.empty()) wrong = blend<T>(storage);
    if (wrong.empty()) wrong = rgb<T>(storage);
    return wrong.empty() ? wrong : std::string(type) + " " + wrong;
  }

  // Numbers in [-2, 2), another row of them each time.
  template <typename T>
  Bytes numbers(int64_t count) {
    Bytes bytes(static_cast<size_t>(count) * sizeof(T));
    for (int64_t i = 0; i < count; ++i) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      T number;
      store(number, static_cast<float>(state_ >> 40) * (4.0F / 16777216.0F) - 2.0F);
      std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(T), &number, sizeof(T));
    }
    return bytes;
  }

  // arrays[0] is written; `call` makes the call for arrays that lie at these places.
  template <typename MakeCall>
  std::string compare(const char* kernel, std::vector<Bytes> arrays, const MakeCall& call) {
    Pointers there;
    bool room = true;
    for (const Bytes& array : arrays) {
      there.push_back(static_cast<char*>(device_.upload(array.data(), array.size())));
      room = room && there.back() != nullptr;
    }
    Bytes found(arrays[0].size());
    int code = 0;
    if (room) code = device_.launch(call(there));
    if (room && code == 0) code = device_.download(found.data(), there[0], found.size());
    for (char* array : there) {
      if (array != nullptr) device_.release(array);
    }
    if (!room) return std::string(kernel) + " kernel: no device memory for its check";
    if (code != 0) return std::string(kernel) + " kernel: " + device_.error_text(code);

    Pointers here;
    for (Bytes& array : arrays) here.push_back(array.data());
    if (!run_on_host(call(here))) return std::string(kernel) + " kernel: no launch for its check";
    size_t different = 0;
    for (size_t i = 0; i < found.size(); ++i) different += found[i] != arrays[0][i] ? 1 : 0;
    if (different == 0) return "";
    return std::string(kernel) + " kernel: " + std::to_string(different) + " of " +
           std::to_string(found.size()) + " bytes are not those of its host function";
  }

  int64_t width() const { return shape_.heads * shape_.head_width; }
  RowKinds kinds() const { return {0, shape_.rows / 3}; }
  template <typename U>
  static const float* floats(U* bytes) {
    return reinterpret_cast<const float*>(bytes);
  }

  template <typename T>
  std::string norm(Storage storage) {
    std::vector<Bytes> arrays{numbers<T>(shape_.rows * width()), numbers<T>(shape_.rows * width()),
                              numbers<float>(width()), numbers<float>(width())};
    for (int i = 0; i < 4; ++i) arrays.push_back(numbers<T>(width()));
    return compare("norm", std::move(arrays), [&](const Pointers& p) {
      ModulatedNormCall call;
      call.storage = storage;
      call.y_RD = p[0];
      call.x_RD = p[1];
      call.rows = shape_.rows;
      call.width = width();
      call.weight_D = floats(p[2]);
      call.bias_D = floats(p[3]);
      call.eps = 1e-5F;
      call.text_scale_D = p[4];
      call.text_shift_D = p[5];
      call.video_scale_D = p[6];
      call.video_shift_D = p[7];
      call.kinds = kinds();
      return call;
    });
  }

  template <typename T>
  std::string gate(Storage storage) {
    std::vector<Bytes> arrays{numbers<T>(shape_.rows * width()), numbers<T>(shape_.rows * width()),
                              numbers<T>(width()), numbers<T>(width())};
    return compare("gate", std::move(arrays), [&](const Pointers& p) {
      GatedAddCall call;
      call.storage = storage;
      call.x_RD = p[0];
      call.y_RD = p[1];
      call.rows = shape_.rows;
      call.width = width();
      call.text_gate_D = p[2];
      call.video_gate_D = p[3];
      call.kinds = kinds();
      return call;
    });
  }

  template <typename T>
  std::string qkv(Storage storage) {
    const int64_t table = (shape_.rows - kinds().text_rows) * shape_.head_width;
    std::vector<Bytes> arrays{numbers<T>(3 * shape_.rows * width()),
                              numbers<T>(3 * shape_.rows * width()), numbers<float>(table),
                              numbers<float>(table)};
    for (int i = 0; i < 4; ++i) arrays.push_back(numbers<float>(shape_.head_width));
    return compare("q, k, v", std::move(arrays), [&](const Pointers& p) {
      PrepareQkvCall call;
      call.storage = storage;
      call.y_H3RE = p[0];
      call.x_R3D = p[1];
      call.rows = shape_.rows;
      call.heads = shape_.heads;
      call.width = shape_.head_width;
      call.x_row_stride = 3 * width();
      call.x_part_stride = width();
      call.y_row_stride = shape_.head_width;
      call.y_part_stride = shape_.rows * shape_.head_width;
      call.y_head_stride = 3 * call.y_part_stride;
      call.cos = floats(p[2]);
      call.sin = floats(p[3]);
      call.q_weight_E = floats(p[4]);
      call.q_bias_E = floats(p[5]);
      call.k_weight_E = floats(p[6]);
      call.k_bias_E = floats(p[7]);
      call.q_eps = 1e-6F;
      call.k_eps = 1e-5F;
      call.kinds = kinds();
      return call;
    });
  }

  // Three channels, two frames, rows x width() pixels.
  template <typename T>
  std::string blend(Storage storage) {
    const int64_t plane = shape_.rows * width();
    std::vector<Bytes> arrays{numbers<T>(6 * plane), numbers<T>(6 * plane)};
    return compare("blend", std::move(arrays), [&](const Pointers& p) {
      BlendCall call;
      call.storage = storage;
      call.tile_CTYX = p[0];
      call.before_CTYX = p[1];
      const int64_t strides[4] = {2 * plane, plane, width(), 1};
      std::memcpy(call.before_strides, strides, sizeof strides);
      std::memcpy(call.tile_strides, strides, sizeof strides);
      call.channels = 3;
      call.frames = 2;
      call.height = shape_.rows;
      call.width = width();
      return call;
    });
  }

  template <typename T>
  std::string rgb(Storage storage) {
    const int64_t plane = shape_.rows * width();
    std::vector<Bytes> arrays{Bytes(static_cast<size_t>(6 * plane)), numbers<T>(6 * plane)};
    return compare("bytes", std::move(arrays), [&](const Pointers& p) {
      RgbCall call;
      call.storage = storage;
      call.rgb_TYX3 = reinterpret_cast<uint8_t*>(p[0]);
      call.x_CTYX = p[1];
      call.x_strides[0] = 2 * plane;
      call.x_strides[1] = plane;
      call.x_strides[2] = width();
      call.frames = 2;
      call.height = shape_.rows;
      call.width = width();
      return call;
    });
  }

  Device& device_;
  CheckShape shape_;
  uint64_t state_ = 1;
};

}  // namespace cogvx::cuda
