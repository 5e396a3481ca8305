#include "app/batch_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/json.h"

namespace cogvx::app {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kBlanks = " \t\r\f\v";

bool is_blank(std::string_view line) {
  return line.find_first_not_of(kBlanks) == std::string_view::npos;
}

BatchFormat format_of(const std::string& path, std::string_view first_line) {
  if (path.ends_with(".jsonl")) return BatchFormat::kJsonLines;
  if (path.ends_with(".txt")) return BatchFormat::kPrompts;
  return first_line[first_line.find_first_not_of(kBlanks)] == '{' ? BatchFormat::kJsonLines
                                                                  : BatchFormat::kPrompts;
}

void check_line(const BatchLine& line, const std::string& label) {
  const auto fail = [&](const std::string& what) {
    throw DataError(label + ":" + std::to_string(line.number) + ": " + what);
  };
  if (std::ssize(line.text) > kMaxBatchLineBytes) {
    fail("is longer than " + std::to_string(kMaxBatchLineBytes >> 20) +
         " MiB; an item is one line, is it the right file?");
  }
  if (line.text.find('\0') != std::string_view::npos)
    fail("holds a NUL; is it a text file in UTF-8?");
}

}  // namespace

BatchText split_batch(std::string_view text, const std::string& path, const std::string& label) {
  if (std::ssize(text) > kMaxBatchBytes) {
    throw DataError(label + ": is longer than " + std::to_string(kMaxBatchBytes >> 20) +
                    " MiB; split it, or is it the wrong file?");
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  BatchText batch;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    BatchLine line{number, text.substr(0, end)};
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.text.ends_with('\r')) line.text.remove_suffix(1);
    if (is_blank(line.text)) continue;
    check_line(line, label);
    if (std::ssize(batch.lines) == kMaxBatchItems) {
      throw DataError(label + ":" + std::to_string(number) + ": is item " +
                      std::to_string(kMaxBatchItems + 1) + ", a batch holds " +
                      std::to_string(kMaxBatchItems) + " at most; split it");
    }
    batch.lines.push_back(line);
  }
  if (batch.lines.empty())
    throw DataError(label + ": holds no line that is not blank; each is a video to be made");
  batch.format = format_of(path, batch.lines.front().text);
  return batch;
}

nlohmann::json line_values(BatchFormat format, std::string_view line, const std::string& label) {
  if (format == BatchFormat::kPrompts) return {{"prompt", std::string(line)}};
  return parse_json_object(line, label);
}

}  // namespace cogvx::app
