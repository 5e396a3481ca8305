#pragma once

// The launchers of our own kernels, as the Ops calls them: core/ops/cuda/kernels.h once that is
// there; until then its prototypes.
#if __has_include("core/ops/cuda/kernels.h")
#include "core/ops/cuda/kernels.h"
#else
#include <cstdint>

namespace cogvx::cuda {

enum class Storage { kFp32, kBf16, kFp16 };

struct RowKinds {
  int64_t first_row = 0;
  int64_t text_rows = 0;
};

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

struct PrepareQkvCall {
  Storage storage = Storage::kFp32;
  const void* x_R3D = nullptr;
  void* y_H3RE = nullptr;
  int64_t rows = 0;
  int64_t heads = 0;
  int64_t width = 0;
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
  const float* cos = nullptr;
  const float* sin = nullptr;
  RowKinds kinds;
};

int launch(const ModulatedNormCall& call, void* stream);
int launch(const GatedAddCall& call, void* stream);
int launch(const PrepareQkvCall& call, void* stream);
const char* launch_error(int code);
bool is_out_of_memory(int code);

}  // namespace cogvx::cuda
#endif
