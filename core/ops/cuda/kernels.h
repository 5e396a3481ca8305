#pragma once

#include <stdint.h>

#include <string>

// CogVideoX's own kernels, without PyTorch: raw device pointers in, a code out. A call describes
// the work; launch() queues it on a stream (cudaStream_t as void*) of the calling thread's device
// and returns 0, or a code that launch_error() words. Strides count elements; legends as in ops.h.
namespace cogvx::cuda {

enum class Storage { kFp32, kBf16, kFp16 };

// Which rows are text: global rows below text_rows; row 0 of a call is global row first_row.
struct RowKinds {
  int64_t first_row = 0;
  int64_t text_rows = 0;
};

// Ops::modulated_norm. A kind of row whose scale is null gets the plain norm.
struct ModulatedNormCall {
  Storage storage = Storage::kFp32;
  const void* x_RD = nullptr;
  void* y_RD = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  const float* weight_D = nullptr;
  const float* bias_D = nullptr;
  float eps = 0;
  const void* text_scale_D = nullptr;
  const void* text_shift_D = nullptr;
  const void* video_scale_D = nullptr;
  const void* video_shift_D = nullptr;
  RowKinds kinds;
};

// Ops::gated_add, in place.
struct GatedAddCall {
  Storage storage = Storage::kFp32;
  void* x_RD = nullptr;
  const void* y_RD = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  const void* text_gate_D = nullptr;
  const void* video_gate_D = nullptr;
  RowKinds kinds;
};

// Ops::prepare_qkv. Part p (0 q, 1 k, 2 v) of head h of row r lies at
// x + r * x_row_stride + p * x_part_stride + h * width, its E elements side by side, and goes to
// y + h * y_head_stride + p * y_part_stride + r * y_row_stride.
struct PrepareQkvCall {
  Storage storage = Storage::kFp32;
  const void* x_R3D = nullptr;
  void* y_H3RE = nullptr;
  int64_t rows = 0;
  int64_t heads = 0;
  int64_t width = 0;  // E; even where there are positions
  int64_t x_row_stride = 0;
  int64_t x_part_stride = 0;
  int64_t y_head_stride = 0;
  int64_t y_part_stride = 0;
  int64_t y_row_stride = 0;
  const float* q_weight_E = nullptr;
  const float* q_bias_E = nullptr;
  const float* k_weight_E = nullptr;
  const float* k_bias_E = nullptr;
  float q_eps = 0;
  float k_eps = 0;
  const float* cos = nullptr;  // [video rows, E]; null: no rotary positions
  const float* sin = nullptr;
  RowKinds kinds;
};

enum class FadeAxis { kY, kX };

// One seam of blend_tiles: the lines of `before` fade into those of `tile`, in place. Both pointers
// stand at the first of the seam's height x width elements; as many lines as the axis has.
struct BlendCall {
  Storage storage = Storage::kFp32;
  const void* before_CTYX = nullptr;
  void* tile_CTYX = nullptr;
  int64_t before_strides[4] = {};
  int64_t tile_strides[4] = {};
  int64_t channels = 0;
  int64_t frames = 0;
  int64_t height = 0;
  int64_t width = 0;
  FadeAxis axis = FadeAxis::kY;
};

// Video to bytes; the last dimension of x_CTYX is contiguous, rgb_TYX3 is all of it.
struct RgbCall {
  Storage storage = Storage::kFp32;
  const void* x_CTYX = nullptr;  // three channels
  uint8_t* rgb_TYX3 = nullptr;
  int64_t x_strides[3] = {};  // C, T, Y
  int64_t frames = 0;
  int64_t height = 0;
  int64_t width = 0;
};

// No rows: 0 and nothing queued.
int launch(const ModulatedNormCall& call, void* stream);
int launch(const GatedAddCall& call, void* stream);
int launch(const PrepareQkvCall& call, void* stream);
int launch(const BlendCall& call, void* stream);
int launch(const RgbCall& call, void* stream);

// A third of the rows are text; head_width is even.
struct CheckShape {
  int64_t rows = 65;
  int64_t heads = 3;
  int64_t head_width = 64;
};

// Runs every kernel on the calling thread's device, in every stored type, against its host function
// (kernel_check.h): the first difference or error in one line, or nothing. The default shape takes
// milliseconds, for the start-up check; larger ones are for scripts/gpu_check.sh.
std::string check_kernels(const CheckShape& shape, void* stream);

// CUDA's words for a code that is not 0.
const char* launch_error(int code);
bool is_out_of_memory(int code);

}  // namespace cogvx::cuda
