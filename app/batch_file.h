#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

// The text of --batch, line by line. Knows no option and no ATen.
namespace cogvx::app {

enum class BatchFormat { kJsonLines, kPrompts };

// One item: a line that is not blank, without its end.
struct BatchLine {
  int64_t number = 0;  // in the file, from 1
  std::string_view text;
};

struct BatchText {
  BatchFormat format = BatchFormat::kPrompts;
  std::vector<BatchLine> lines;  // views into the text that was split
};

// `path` tells the format by .jsonl or .txt; else the first line does, by its "{". A byte order
// mark and lines that end in CR LF are fine. Throws DataError "<label>: ..." for a text without a
// line, one with too many or one too long, and for one that is no text.
BatchText split_batch(std::string_view text, const std::string& path, const std::string& label);

// Option keys with values; of a line of prompts the prompt. Throws DataError "<label>: ..." for
// what is no JSON object.
nlohmann::json line_values(BatchFormat format, std::string_view line, const std::string& label);

inline constexpr int64_t kMaxBatchBytes = int64_t{64} << 20;
inline constexpr int64_t kMaxBatchItems = 100'000;
inline constexpr int64_t kMaxBatchLineBytes = int64_t{1} << 20;

}  // namespace cogvx::app
