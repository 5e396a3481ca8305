#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

// The stage ladder: hashes of a run's results in the order in which they come about, so that two
// runs that end in different bytes can be told where they part.
namespace cogvx {

// A place in a run. Orders as the run goes.
struct Rung {
  enum class Part : int32_t {
    kText,    // states of branch
    kEncode,  // of an image or video; layer 0: tiles, 1: moments
    kStart,   // latents before the first step made
    kStep,    // rows of branch after layer (0: embedding), or its prediction
    kDecode,  // layer 0: tiles, 1: frames
  };
  // Of kStep: what follows the layers of a branch, and the branches.
  static constexpr int32_t kPrediction = 1 << 20;
  static constexpr int32_t kLatents = 2;

  Part part = Part::kText;
  int32_t step = 0;    // from 1
  int32_t branch = 0;  // 0 without the prompt, 1 with it; kLatents: latents after the step
  int32_t layer = 0;
  auto operator<=>(const Rung&) const = default;
};

// One unit of a rung as one witness has it. A dealt unit is made by one owner, any other by all.
// Plain bytes, to be sent as they are.
struct UnitHash {
  Rung rung;
  int32_t dealt = 0;
  int64_t unit = 0;
  uint64_t hash = 0;
};

struct StageLadder {
  // Whose rows are text, for the verdict.
  int64_t text_rows = 0;
  std::map<Rung, std::vector<uint64_t>> rungs;  // per rung its units' hashes
  // Where the witnesses of one run contradict each other, in the order of the rungs.
  std::vector<std::string> contradictions;

  bool operator==(const StageLadder&) const = default;
};

// All that the witnesses of one run saw. Units that nobody has, that two made though they are
// dealt, and that witnesses have different bytes of, are contradictions.
StageLadder join_ladder(std::span<const std::vector<UnitHash>> witnesses, int64_t text_rows);

// "step 3, branch with the prompt, layer 2, rows 64-127 (video)"
std::string place_text(const Rung& rung, int64_t unit, const StageLadder& ladder);

// The first place where two runs of one request have different bytes, or only one of them has any,
// as text; nothing where they are the same.
std::optional<std::string> first_difference(const StageLadder& wanted, const StageLadder& found);

nlohmann::json ladder_to_json(const StageLadder& ladder);
// Throws DataError naming `label`.
StageLadder ladder_from_json(const nlohmann::json& object, const std::string& label);

}  // namespace cogvx
