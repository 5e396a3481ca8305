#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/compare/comparison.h"
#include "app/compare/limits.h"

namespace cogvx::app {

// What is said about one TEST.
struct Result {
  std::string test;
  Comparison comparison;
  Judgement judgement;
};

// "identical", "within the limits" or "DIFFERENT".
const char* verdict_of(const Result& result);
// Of how many pieces, and what differs first, without the names of the files.
std::string summary_of(const Comparison& comparison);
// The answer, and under it, indented, what explains it.
std::vector<std::string> report_lines(const Result& result, const std::string& reference);
// The numbers of all TESTs, aligned, with a line that says what they are. Of one kind, one or more.
std::string report_table(const std::vector<Result>& results);
nlohmann::json result_to_json(const Result& result, const std::string& reference);

}  // namespace cogvx::app
