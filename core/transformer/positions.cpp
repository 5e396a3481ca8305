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

#include "core/base/errors.h"
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

// fp32, one per step of an axis.
struct GridPositions {
  at::Tensor times;
  at::Tensor rows;
  at::Tensor columns;
};

GridPositions linspace_positions(const TransformerConfig& config, const PatchGrid& grid) {
  const PatchGrid trained = trained_grid(config);
  AxisRange rows{}, columns{};
  crop_region(grid, trained.height, trained.width, rows, columns);
  return {axis_positions({0, grid.frames}, grid.frames), axis_positions(rows, grid.height),
          axis_positions(columns, grid.width)};
}

GridPositions slice_positions(const PatchGrid& grid) {
  const auto counted = [](int64_t count) {
    return at::arange(count, at::TensorOptions().dtype(at::kFloat));
  };
  return {counted(grid.frames), counted(grid.height), counted(grid.width)};
}

std::string size_text(int64_t height, int64_t width) {
  return std::to_string(height) + "x" + std::to_string(width);
}

}  // namespace

void check_positions(const TransformerConfig& config, const LatentExtent& latents,
                     int64_t text_rows) {
  const std::string found = "the latents are " + size_text(latents.height, latents.width) +
                            " (height x width, an eighth of the pixels), this model's ";
  const std::string trained = size_text(config.sample_height, config.sample_width);
  if (latents.height % config.patch_size != 0 || latents.width % config.patch_size != 0) {
    throw UsageError(found + "patches are " + size_text(config.patch_size, config.patch_size) +
                     "; use multiples of that");
  }
  if (latents.frames % config.patch_frames() != 0) {
    throw UsageError("the latents have " + std::to_string(latents.frames) +
                     " frames, this model takes them by twos; use an even number");
  }
  const PatchGrid grid = patch_grid(config, latents);
  const PatchGrid limit = trained_grid(config);
  if (config.patch_size_t > 0 && (grid.height > limit.height || grid.width > limit.width))
    throw UsageError(found + "positions end at " + trained + "; use a smaller size");
  if (!config.use_learned_positional_embeddings) return;
  if (latents.height != config.sample_height || latents.width != config.sample_width)
    throw UsageError(found + "learned positions are for " + trained + " alone; use that size");
  if (text_rows != config.max_text_seq_length) {
    throw UsageError("the text has " + std::to_string(text_rows) +
                     " rows, this model's learned positions are for " +
                     std::to_string(config.max_text_seq_length) + " alone; use that length");
  }
}

AddedPositions added_positions(const TransformerConfig& config, const PatchGrid& grid) {
  if (!config.use_learned_positional_embeddings)
    return config.use_rotary_positional_embeddings ? AddedPositions::kNone
                                                   : AddedPositions::kSincos;
  const int64_t frames = (grid.frames - 1) * config.temporal_compression_ratio + 1;
  return frames == config.sample_frames ? AddedPositions::kLearned : AddedPositions::kSincos;
}

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
  const GridPositions positions =
      config.patch_size_t > 0 ? slice_positions(grid) : linspace_positions(config, grid);
  const RotaryAxis times = rotary_axis(positions.times, dim / 4);
  const RotaryAxis rows = rotary_axis(positions.rows, dim / 8 * 3);
  const RotaryAxis columns = rotary_axis(positions.columns, dim / 8 * 3);
  return {combine_axes(grid, {{'t', times.cos}, {'y', rows.cos}, {'x', columns.cos}}),
          combine_axes(grid, {{'t', times.sin}, {'y', rows.sin}, {'x', columns.sin}})};
}

}  // namespace cogvx
