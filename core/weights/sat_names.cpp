#include "core/weights/sat_names.h"

#include <algorithm>
#include <array>
#include <optional>

namespace cogvx {
namespace {

// A module of diffusers and its place; in names of a block, `{}` is its number.
struct Row {
  std::string_view name;
  std::string_view sat;
  std::vector<int64_t> chunks{0};
  int64_t of = 1;
};

const std::array<Row, 12>& block_rows() {
  static const std::array<Row, 12> rows{
      {{"attn1.to_q", "transformer.layers.{}.attention.query_key_value", {0}, 3},
       {"attn1.to_k", "transformer.layers.{}.attention.query_key_value", {1}, 3},
       {"attn1.to_v", "transformer.layers.{}.attention.query_key_value", {2}, 3},
       {"attn1.to_out.0", "transformer.layers.{}.attention.dense"},
       {"norm1.norm", "transformer.layers.{}.input_layernorm"},
       {"norm2.norm", "transformer.layers.{}.post_attention_layernorm"},
       {"ff.net.0.proj", "transformer.layers.{}.mlp.dense_h_to_4h"},
       {"ff.net.2", "transformer.layers.{}.mlp.dense_4h_to_h"},
       // For video and then for text: shift, scale and gate before attention, then before the MLP.
       {"norm1.linear", "mixins.adaln_layer.adaLN_modulations.{}.1", {0, 1, 2, 6, 7, 8}, 12},
       {"norm2.linear", "mixins.adaln_layer.adaLN_modulations.{}.1", {3, 4, 5, 9, 10, 11}, 12},
       {"attn1.norm_q", "mixins.adaln_layer.query_layernorm_list.{}"},
       {"attn1.norm_k", "mixins.adaln_layer.key_layernorm_list.{}"}}};
  return rows;
}

const std::array<Row, 10>& other_rows() {
  static const std::array<Row, 10> rows{
      {{"norm_final", "transformer.final_layernorm"},
       {"time_embedding.linear_1", "time_embed.0"},
       {"time_embedding.linear_2", "time_embed.2"},
       {"ofs_embedding.linear_1", "ofs_embed.0"},
       {"ofs_embedding.linear_2", "ofs_embed.2"},
       {"patch_embed.proj", "mixins.patch_embed.proj"},
       {"patch_embed.text_proj", "mixins.patch_embed.text_proj"},
       {"norm_out.norm", "mixins.final_layer.norm_final"},
       {"norm_out.linear", "mixins.final_layer.adaLN_modulation.1"},
       {"proj_out", "mixins.final_layer.linear"}}};
  return rows;
}

bool strip_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

void replace(std::string& text, std::string_view old, std::string_view now) {
  if (const size_t at = text.find(old); at != std::string::npos) text.replace(at, old.size(), now);
}

// `module` is what stands before `.weight` or `.bias`.
template <typename Rows>
std::optional<SatPlace> find(const Rows& rows, std::string_view module, std::string_view block,
                             std::string_view kind) {
  for (const Row& row : rows) {
    if (row.name != module) continue;
    std::string name(row.sat);
    replace(name, "{}", block);
    return SatPlace{name + std::string(kind), row.chunks, row.of};
  }
  return std::nullopt;
}

}  // namespace

SatPlace sat_transformer_place(std::string_view name) {
  if (name == "patch_embed.pos_embedding") return {"mixins.pos_embed.pos_embedding"};
  const size_t dot = name.rfind('.');
  std::string_view module = name.substr(0, dot);
  const std::string_view kind = dot == std::string_view::npos ? "" : name.substr(dot);
  std::optional<SatPlace> place;
  if (strip_prefix(module, "transformer_blocks.")) {
    const std::string_view block = module.substr(0, module.find('.'));
    if (block.size() < module.size())
      place = find(block_rows(), module.substr(block.size() + 1), block, kind);
  } else {
    place = find(other_rows(), module, "", kind);
  }
  return place.value_or(SatPlace{std::string(name)});
}

SatPlace sat_vae_place(std::string_view name) {
  std::string sat(name);
  replace(sat, "encoder.down_blocks.", "encoder.down.");
  constexpr std::string_view kUp = "decoder.up_blocks.";
  if (sat.starts_with(kUp) && sat.size() > kUp.size()) {
    // Counted from the other end, of four.
    sat[kUp.size()] = static_cast<char>('3' - (sat[kUp.size()] - '0'));
    replace(sat, kUp, "decoder.up.");
  }
  replace(sat, ".mid_block.resnets.0.", ".mid.block_1.");
  replace(sat, ".mid_block.resnets.1.", ".mid.block_2.");
  replace(sat, ".resnets.", ".block.");
  replace(sat, ".downsamplers.0.", ".downsample.");
  replace(sat, ".upsamplers.0.", ".upsample.");
  replace(sat, ".conv_shortcut.", ".nin_shortcut.");
  return {sat};
}

bool is_unused_in_sat(std::string_view sat_name, bool learned_positions) {
  if (sat_name.starts_with("loss.")) return true;
  if (!learned_positions && sat_name == "mixins.pos_embed.pos_embedding") return true;
  constexpr std::array<std::string_view, 4> kParts{"embed_tokens", "freqs_sin", "freqs_cos",
                                                   "position_embedding"};
  return std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) {
    return sat_name.find(part) != std::string_view::npos;
  });
}

}  // namespace cogvx
