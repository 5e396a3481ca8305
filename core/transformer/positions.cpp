#include "core/transformer/positions.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/sin.h>

#include <cmath>
#include <initializer_list>
#include <utility>
#include <vector>

#include "core/base/rounding.h"

namespace cogvx {
namespace {

// [sin | cos] of position * 10000^(-j / (dim / 2)) in double, [count, dim].
at::Tensor sincos_axis(int64_t count, double interpolation_scale, int64_t dim) {
  at::Tensor axis = at::empty({count, dim}, at::TensorOptions().dtype(at::kDouble));
  auto* row = axis.mutable_data_ptr<double>();
  const int64_t half = dim / 2;
  for (int64_t i = 0; i < count; ++i, row += dim) {
    const double position = static_cast<float>(i) / static_cast<float>(interpolation_scale);
    for (int64_t j = 0; j < half; ++j) {
      const double omega =
          1.0 / std::pow(10000.0, static_cast<double>(j) / (static_cast<double>(dim) / 2.0));
      row[j] = std::sin(position * omega);
      row[half + j] = std::cos(position * omega);
    }
  }
  return axis;
}

// Three axis tables -> one row per token (t, y, x), their channels side by side in the order given.
at::Tensor combine_axes(const PatchGrid& grid,
                        std::initializer_list<std::pair<char, at::Tensor>> axes) {
  std::vector<at::Tensor> parts;
  for (const auto& [axis, table] : axes) {
    const int64_t dim = table.size(1);
    const at::Tensor shaped = axis == 't'   ? table.view({-1, 1, 1, dim})
                              : axis == 'y' ? table.view({1, -1, 1, dim})
                                            : table.view({1, 1, -1, dim});
    parts.push_back(shaped.expand({grid.frames, grid.height, grid.width, dim}));
  }
  return at::cat(parts, /*dim=*/-1).flatten(0, 2);
}

struct AxisRange {
  int64_t start;
  int64_t stop;
};

// Where the grid lies in the trained one, cropped to its aspect (diffusers:
// get_resize_crop_region_for_grid).
void crop_region(const PatchGrid& grid, int64_t base_height, int64_t base_width, AxisRange& rows,
                 AxisRange& columns) {
  const auto h = static_cast<double>(grid.height);
  const auto w = static_cast<double>(grid.width);
  const auto bh = static_cast<double>(base_height);
  const auto bw = static_cast<double>(base_width);
  int64_t resized_height = base_height;
  int64_t resized_width = base_width;
  if (h / w > bh / bw) {
    resized_width = round_half_even(bh / h * w);
  } else {
    resized_height = round_half_even(bw / w * h);
  }
  const int64_t top = round_half_even(static_cast<double>(base_height - resized_height) / 2.0);
  const int64_t left = round_half_even(static_cast<double>(base_width - resized_width) / 2.0);
  rows = {top, top + resized_height};
  columns = {left, left + resized_width};
}

struct RotaryAxis {
  at::Tensor cos;
  at::Tensor sin;
};

// Each frequency stands twice, in neighbouring slots; fp32 [count, dim].
RotaryAxis rotary_axis(const at::Tensor& positions, int64_t dim) {
  const int64_t count = positions.size(0);
  RotaryAxis axis{at::empty({count, dim}, positions.options()),
                  at::empty({count, dim}, positions.options())};
  auto* cos = axis.cos.mutable_data_ptr<float>();
  auto* sin = axis.sin.mutable_data_ptr<float>();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < dim; ++j) {
      const float frequency =
          1.0f / std::pow(10000.0f, static_cast<float>(j / 2 * 2) / static_cast<float>(dim));
      const float angle = positions.const_data_ptr<float>()[i] * frequency;
      cos[i * dim + j] = std::cos(angle);
      sin[i * dim + j] = std::sin(angle);
    }
  }
  return axis;
}

at::Tensor axis_positions(AxisRange range, int64_t count) {
  const double stop =
      static_cast<double>(range.stop) * static_cast<double>(count - 1) / static_cast<double>(count);
  return at::linspace(static_cast<double>(range.start), stop, count,
                      at::TensorOptions().dtype(at::kFloat));
}

}  // namespace

// libtorch's exp, not the standard library's: a frequency one ulp off is 6e-5 rad off at timestep
// 999.
at::Tensor timestep_sinusoid(double value, int64_t dim) {
  const int64_t half = dim / 2;
  const at::Tensor exponents =
      at::arange(half, at::TensorOptions().dtype(at::kFloat)) * -std::log(10000.0);
  const at::Tensor angles = at::exp(exponents / static_cast<double>(half)) * value;
  return at::cat({at::cos(angles), at::sin(angles)});
}

at::Tensor sincos_positions(const TransformerConfig& config, const PatchGrid& grid,
                            at::ScalarType dtype) {
  const int64_t dim = config.width();
  const auto axis = [&](int64_t count, double scale, int64_t channels) {
    return sincos_axis(count, scale, channels).to(dtype);
  };
  return combine_axes(grid,
                      {{'t', axis(grid.frames, config.temporal_interpolation_scale, dim / 4)},
                       {'x', axis(grid.width, config.spatial_interpolation_scale, dim / 8 * 3)},
                       {'y', axis(grid.height, config.spatial_interpolation_scale, dim / 8 * 3)}});
}

RotaryTables rotary_positions(const TransformerConfig& config, const PatchGrid& grid) {
  const int64_t dim = config.attention_head_dim;
  AxisRange row_range{}, column_range{};
  crop_region(grid, config.sample_height / config.patch_size,
              config.sample_width / config.patch_size, row_range, column_range);
  const RotaryAxis times = rotary_axis(axis_positions({0, grid.frames}, grid.frames), dim / 4);
  const RotaryAxis rows = rotary_axis(axis_positions(row_range, grid.height), dim / 8 * 3);
  const RotaryAxis columns = rotary_axis(axis_positions(column_range, grid.width), dim / 8 * 3);
  return {combine_axes(grid, {{'t', times.cos}, {'y', rows.cos}, {'x', columns.cos}}),
          combine_axes(grid, {{'t', times.sin}, {'y', rows.sin}, {'x', columns.sin}})};
}

}  // namespace cogvx
