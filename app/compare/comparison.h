#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace cogvx::app {

// How TEST stands to REF, byte by byte.
struct Comparison {
  bool same = false;
  std::string verdict;             // one line without the names of the files
  std::vector<std::string> notes;  // what explains a difference: another request, another engine
  // What was compared and, where there is one, the first difference; for --json.
  std::string what;
  int64_t identical = 0;  // frames, latent frames or rungs
  int64_t total = 0;
};

// What a file is, by its content: a video that libav reads, a folder of PNG frames, saved latents
// or a saved state, a trace, or a sidecar. Throws DataError where it cannot be read, and where the
// two are not comparable: two kinds, other sizes, another number of frames.
Comparison compare_files(const std::string& reference, const std::string& test);

nlohmann::json comparison_to_json(const Comparison& comparison, const std::string& reference,
                                  const std::string& test);

}  // namespace cogvx::app
