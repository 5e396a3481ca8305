#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cogvx {

// Where the original (SAT) checkpoint has a tensor of diffusers: in tensor `name`, cut along its
// first dimension into `of` equal chunks, those of `chunks` one after the other.
struct SatPlace {
  std::string name;
  std::vector<int64_t> chunks{0};
  int64_t of = 1;
};

// diffusers' name -> its place (CogVideo's convert_weight_sat2hf.py, read backwards). Without the
// prefix `model.diffusion_model.` that files put before the transformer's.
SatPlace sat_transformer_place(std::string_view name);
SatPlace sat_vae_place(std::string_view name);

// Tensors that a SAT file may hold and no model needs: computed tables, what trained the VAE. Where
// positions are not learned, their table too.
bool is_unused_in_sat(std::string_view sat_name, bool learned_positions);

inline constexpr std::string_view kSatTransformerPrefix = "model.diffusion_model.";

}  // namespace cogvx
