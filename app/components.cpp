#include "app/components.h"

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/weights/weight_map.h"

namespace cogvx::app {
namespace {

constexpr char kStem[] = "diffusion_pytorch_model";

const char* part_name(std::string CheckpointIdentity::*part) {
  return part == &CheckpointIdentity::tokenizer      ? "tokenizer"
         : part == &CheckpointIdentity::text_encoder ? "text encoder"
         : part == &CheckpointIdentity::transformer  ? "transformer"
         : part == &CheckpointIdentity::vae_encoder  ? "VAE's encoder"
                                                     : "VAE";
}

}  // namespace

nlohmann::json loads_to_json(const Loads& loads) {
  return {{"tokenizer", loads.tokenizer},
          {"text_encoder", loads.text_encoder},
          {"transformer", loads.transformer},
          {"vae", loads.vae},
          {"vae_encoder", loads.vae_encoder}};
}

void Components::expect(const CheckpointIdentity& identity, const std::string& source) {
  for (const Expectation& known : expected_) {
    if (known.identity == identity) return;
  }
  expected_.push_back({identity, source});
  for (const auto part : {&CheckpointIdentity::tokenizer, &CheckpointIdentity::text_encoder,
                          &CheckpointIdentity::transformer, &CheckpointIdentity::vae,
                          &CheckpointIdentity::vae_encoder})
    check(expected_.back(), part);
}

void Components::check(const Expectation& expected, std::string CheckpointIdentity::*part) const {
  const std::string& wanted = expected.identity.*part;
  const std::string& found = identity_.*part;
  if (wanted.empty() || found.empty() || wanted == found) return;
  throw DataError(checkpoint_.dir.string() + ": the " + part_name(part) + " is not the one in " +
                  expected.source +
                  " (its SHA-256 differs); give --model the checkpoint that it was made with");
}

void Components::identify(std::string CheckpointIdentity::*part, const std::string& found) {
  identity_.*part = found;
  for (const Expectation& expected : expected_) check(expected, part);
}

void Components::end_stage() {
  if (keeping_ == Keeping::kOnePart) make_room();
}

void Components::make_room() {
  transformer_.reset();
  decoder_.reset();
  encoder_.reset();
}

std::unique_ptr<Tokenizer> Components::tokenizer() {
  auto tokenizer = std::make_unique<Tokenizer>(checkpoint_.dir / "tokenizer");
  ++loads_.tokenizer;
  identify(&CheckpointIdentity::tokenizer, tokenizer->sha256());
  return tokenizer;
}

EncodedTexts Components::encode_texts(const std::vector<PromptIds>& prompts,
                                      const Monitor& monitor) {
  EncodedTexts encoded =
      cogvx::encode_texts(checkpoint_, prompts, dtype_, computer_.ops(), monitor);
  ++loads_.text_encoder;
  identify(&CheckpointIdentity::text_encoder, encoded.sha256);
  return encoded;
}

Transformer& Components::transformer(LoraSet loras, const Monitor& monitor) {
  if (transformer_ && fused_ == loras.identities) return *transformer_;
  transformer_.reset();
  end_stage();
  WeightMap weights(checkpoint_.dir / "transformer", kStem);
  if (!loras.adapters.empty())
    weights.set_patch(fuse_loras(std::move(loras.adapters), computer_.pool()));
  transformer_.emplace(checkpoint_.transformer, weights, dtype_, computer_.ops(),
                       [&](int64_t done, int64_t total) {
                         monitor.progress({Stage::kLoad, done, total});
                       });
  ++loads_.transformer;
  fused_ = std::move(loras.identities);
  identify(&CheckpointIdentity::transformer, weights.content_sha256());
  return *transformer_;
}

template <typename Half>
const Half& Components::half_of_vae(std::optional<Half>& half, int64_t& loads,
                                    std::string CheckpointIdentity::*part) {
  if (half) return *half;
  end_stage();
  WeightMap weights(checkpoint_.dir / "vae", kStem);
  half.emplace(checkpoint_.vae, weights, dtype_, computer_.ops());
  ++loads;
  identify(part, weights.content_sha256());
  return *half;
}

const VaeDecoder& Components::decoder() {
  return half_of_vae(decoder_, loads_.vae, &CheckpointIdentity::vae);
}

const VaeEncoder& Components::encoder() {
  return half_of_vae(encoder_, loads_.vae_encoder, &CheckpointIdentity::vae_encoder);
}

}  // namespace cogvx::app
