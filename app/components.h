#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/computer.h"
#include "core/base/monitor.h"
#include "core/pipeline/request.h"
#include "core/pipeline/stages.h"
#include "core/text/tokenizer.h"
#include "core/transformer/transformer.h"
#include "core/vae/decoder.h"
#include "core/vae/encoder.h"
#include "core/weights/checkpoint.h"
#include "core/weights/lora.h"

namespace cogvx::app {

// How often each part of the checkpoint was loaded.
struct Loads {
  int64_t tokenizer = 0;
  int64_t text_encoder = 0;
  int64_t transformer = 0;
  int64_t vae = 0;
  int64_t vae_encoder = 0;
};
nlohmann::json loads_to_json(const Loads& loads);

// A transformer is another one with other adapters.
struct LoraSet {
  std::vector<LoraIdentity> identities;
  std::vector<ScaledLora> adapters;
};

// Whether a part stays when the stage that used it is over.
enum class Keeping { kOnePart, kAllParts };

// The parts of a checkpoint that videos are computed with, each loaded where it is first asked for.
class Components {
 public:
  // Both must outlive it.
  Components(const Checkpoint& checkpoint, Computer& computer, at::ScalarType dtype,
             Keeping keeping)
      : checkpoint_(checkpoint), computer_(computer), dtype_(dtype), keeping_(keeping) {}

  // From here on a part whose SHA-256 is another is a DataError; `source` says who wants this one.
  void expect(const CheckpointIdentity& identity, const std::string& source);
  // Of what was loaded so far.
  const CheckpointIdentity& identity() const { return identity_; }
  const Loads& loads() const { return loads_; }

  // These throw DataError. What they return lives until a stage ends, or another part is asked for.
  std::unique_ptr<Tokenizer> tokenizer();
  EncodedTexts encode_texts(const std::vector<PromptIds>& prompts, const Monitor& monitor);
  Transformer& transformer(LoraSet loras, const Monitor& monitor);
  const VaeDecoder& decoder();
  const VaeEncoder& encoder();
  void end_stage();

 private:
  struct Expectation {
    CheckpointIdentity identity;
    std::string source;
  };
  template <typename Half>
  const Half& half_of_vae(std::optional<Half>& half, int64_t& loads,
                          std::string CheckpointIdentity::*part);
  void make_room();
  void check(const Expectation& expected, std::string CheckpointIdentity::*part) const;
  void identify(std::string CheckpointIdentity::*part, const std::string& found);

  const Checkpoint& checkpoint_;
  Computer& computer_;
  at::ScalarType dtype_;
  Keeping keeping_;
  std::vector<Expectation> expected_;
  CheckpointIdentity identity_;
  Loads loads_;
  std::vector<LoraIdentity> fused_;  // in the transformer
  std::optional<Transformer> transformer_;
  std::optional<VaeDecoder> decoder_;
  std::optional<VaeEncoder> encoder_;
};

}  // namespace cogvx::app
