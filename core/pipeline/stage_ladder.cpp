#include "core/pipeline/stage_ladder.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/json_reader.h"
#include "core/base/shapes.h"
#include "core/base/short_hash.h"

namespace cogvx {
namespace {

using nlohmann::json;

const std::vector<std::pair<Rung::Part, const char*>> kParts = {{Rung::Part::kText, "text"},
                                                                {Rung::Part::kEncode, "encode"},
                                                                {Rung::Part::kStart, "start"},
                                                                {Rung::Part::kStep, "step"},
                                                                {Rung::Part::kDecode, "decode"}};
constexpr int64_t kMaxSteps = 1 << 20;
constexpr size_t kHashDigits = 16;

// What the witnesses say of one unit.
struct Testimony {
  int witnesses = 0;
  size_t first = 0;
  uint64_t hash = 0;
};

std::vector<uint64_t> hashes_from_text(const std::string& digits, const std::string& label) {
  if (digits.size() % kHashDigits != 0 ||
      digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw DataError(label + ": 'units' is " + quoted_excerpt(digits) +
                    ", wanted hexadecimal digits, 16 for each unit");
  }
  std::vector<uint64_t> hashes;
  for (size_t at = 0; at < digits.size(); at += kHashDigits)
    hashes.push_back(std::stoull(digits.substr(at, kHashDigits), nullptr, 16));
  return hashes;
}

int32_t small_count(const JsonReader& read, const char* key) {
  int64_t value = 0;
  read.count(key, value, 0, kMaxSteps);
  return static_cast<int32_t>(value);
}

std::string branch_text(int32_t branch) {
  return branch == 0 ? "branch without the prompt" : "branch with the prompt";
}

std::string rows_text(int64_t block, const StageLadder& ladder) {
  const RowRange rows{block * kBlockRows, (block + 1) * kBlockRows};
  const char* kind = rows.end <= ladder.text_rows     ? "text"
                     : rows.begin >= ladder.text_rows ? "video"
                                                      : "text and video";
  return "rows " + std::to_string(rows.begin) + "-" + std::to_string(rows.end - 1) + " (" + kind +
         ")";
}

}  // namespace

std::string place_text(const Rung& rung, int64_t unit, const StageLadder& ladder) {
  switch (rung.part) {
    case Rung::Part::kText:
      return "text states, " + branch_text(rung.branch);
    case Rung::Part::kEncode:
      return rung.layer == 0 ? "encoded tile " + std::to_string(unit) : "moments of the encoder";
    case Rung::Part::kStart:
      return "latents before the first step";
    case Rung::Part::kStep:
      break;
    case Rung::Part::kDecode:
      return (rung.layer == 0 ? "decoded tile " : "frame ") + std::to_string(unit);
  }
  const std::string step = "step " + std::to_string(rung.step);
  if (rung.branch == Rung::kLatents) return "latents after " + step;
  const std::string branch = step + ", " + branch_text(rung.branch);
  if (rung.layer == Rung::kPrediction) return branch + ", prediction";
  return branch + ", " + (rung.layer == 0 ? "embedding" : "layer " + std::to_string(rung.layer)) +
         ", " + rows_text(unit, ladder);
}

StageLadder join_ladder(std::span<const std::vector<UnitHash>> witnesses, int64_t text_rows) {
  StageLadder ladder{.text_rows = text_rows, .rungs = {}, .contradictions = {}};
  std::map<Rung, std::map<int64_t, Testimony>> heard;
  std::map<std::pair<Rung, int64_t>, std::string> contradictions;
  for (size_t rank = 0; rank < witnesses.size(); ++rank) {
    for (const UnitHash& seen : witnesses[rank]) {
      Testimony& known = heard[seen.rung][seen.unit];
      const auto contradict = [&](const std::string& what) {
        contradictions.try_emplace({seen.rung, seen.unit},
                                   place_text(seen.rung, seen.unit, ladder) + ": " + what);
      };
      const std::string both =
          "rank " + std::to_string(known.first) + " and rank " + std::to_string(rank);
      if (known.witnesses++ == 0) {
        known.first = rank;
        known.hash = seen.hash;
      } else if (known.hash != seen.hash) {
        contradict(both + " have different bytes");
      } else if (seen.dealt != 0) {
        contradict(both + " both made it");
      }
    }
  }
  for (const auto& [rung, units] : heard) {
    std::vector<uint64_t>& hashes = ladder.rungs[rung];
    for (const auto& [unit, testimony] : units) {
      for (int64_t missing = std::ssize(hashes); missing < unit; ++missing) {
        contradictions.try_emplace({rung, missing},
                                   place_text(rung, missing, ladder) + ": nobody made it");
      }
      hashes.resize(unit);
      hashes.push_back(testimony.hash);
    }
  }
  for (const auto& [place, text] : contradictions) ladder.contradictions.push_back(text);
  return ladder;
}

std::optional<std::string> first_difference(const StageLadder& wanted, const StageLadder& found) {
  auto a = wanted.rungs.begin();
  auto b = found.rungs.begin();
  for (; a != wanted.rungs.end() && b != found.rungs.end(); ++a, ++b) {
    if (a->first != b->first) break;
    const auto [left, right] = std::ranges::mismatch(a->second, b->second);
    if (left != a->second.end() || right != b->second.end())
      return place_text(a->first, left - a->second.begin(), wanted);
  }
  if (a == wanted.rungs.end() && b == found.rungs.end()) return std::nullopt;
  const bool in_found = a == wanted.rungs.end() || (b != found.rungs.end() && b->first < a->first);
  return place_text(in_found ? b->first : a->first, 0, in_found ? found : wanted) + " (only " +
         (in_found ? "the second" : "the first") + " has it)";
}

json ladder_to_json(const StageLadder& ladder) {
  json rungs = json::array();
  for (const auto& [rung, hashes] : ladder.rungs) {
    std::string units;
    for (const uint64_t hash : hashes) units += hash_text(hash);
    rungs.push_back({{"part", kParts[static_cast<size_t>(rung.part)].second},
                     {"step", rung.step},
                     {"branch", rung.branch},
                     {"layer", rung.layer},
                     {"units", units}});
  }
  return {
      {"text_rows", ladder.text_rows}, {"rungs", rungs}, {"contradictions", ladder.contradictions}};
}

StageLadder ladder_from_json(const json& object, const std::string& label) {
  const JsonReader read(object, label, JsonReader::Absent::kIsAnError);
  read.only({"text_rows", "rungs", "contradictions"});
  StageLadder ladder;
  read.count("text_rows", ladder.text_rows, 0);
  if (!object.at("rungs").is_array()) read.fail("rungs", "an array");
  for (const json& entry : object.at("rungs")) {
    const std::string place = label + ": rungs[" + std::to_string(ladder.rungs.size()) + "]";
    if (!entry.is_object())
      throw DataError(place + " is " + json_excerpt(entry) + ", wanted an object");
    const JsonReader member(entry, place, JsonReader::Absent::kIsAnError);
    member.only({"part", "step", "branch", "layer", "units"});
    Rung rung;
    member.choice("part", rung.part, kParts);
    rung.step = small_count(member, "step");
    rung.branch = small_count(member, "branch");
    rung.layer = small_count(member, "layer");
    std::string units;
    member.text("units", units);
    if (!ladder.rungs.try_emplace(rung, hashes_from_text(units, place)).second)
      throw DataError(place + ": stands there twice; was the file written by hand?");
  }
  if (!object.at("contradictions").is_array()) read.fail("contradictions", "an array");
  for (const json& text : object.at("contradictions")) {
    if (!text.is_string()) read.fail("contradictions", "an array of strings");
    ladder.contradictions.push_back(text.get<std::string>());
  }
  return ladder;
}

}  // namespace cogvx
