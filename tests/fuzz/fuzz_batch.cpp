// Any bytes as the text of a batch, as a prompt in a file's name, and as a template of one.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/batch_file.h"
#include "app/output_names.h"
#include "tests/fuzz/fuzz_support.h"

using namespace cogvx;
using namespace cogvx::app;
using fuzz::require;

namespace {

void check_lines(std::string_view file, const std::string& path) {
  const BatchText batch = split_batch(file, path, "input");
  int64_t last = 0;
  for (const BatchLine& line : batch.lines) {
    require(line.number > last, "lines are in order");
    require(line.text.data() >= file.data() &&
                line.text.data() + line.text.size() <= file.data() + file.size(),
            "a line lies in the text");
    require(line.text.find('\n') == std::string_view::npos, "a line is one line");
    require(line.text.find_first_not_of(" \t\r\f\v") != std::string_view::npos, "none is blank");
    require(line.number <= 1 + std::count(file.begin(), file.end(), '\n'), "a line of the file");
    last = line.number;
    fuzz::parses([&] {
      const nlohmann::json values = line_values(batch.format, line.text, "input");
      require(values.is_object(), "an item is an object");
      if (batch.format == BatchFormat::kPrompts)
        require(values.size() == 1 && values.at("prompt") == line.text, "a prompt is its line");
    });
  }
}

void check_slug(std::string_view prompt, size_t most) {
  const std::string slug = slug_of(prompt, most);
  require(!slug.empty() && slug.size() <= most, "a slug has 1 to so many bytes");
  require(slug.front() != '-' && slug.back() != '-' && slug.front() != '.', "letters at both ends");
  for (const char letter : slug) {
    const auto code = static_cast<unsigned char>(letter);
    require(code > 0x20 && code != 0x7f && letter != '/' && letter != '.', "no other letters");
  }
  require(slug_of(slug, most) == slug, "a slug is its own slug");
}

void check_template(const std::string& pattern, const std::string& prompt) {
  try {
    const NameValues values{.index = 7, .count = 100, .seed = 3, .prompt = prompt};
    require(expand_name(pattern, values, "input") == expand_name(pattern, values, "input"),
            "a name is a function of its values");
  } catch (const UsageError& error) {
    fuzz::require_message(error.what(), "input");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  for (const char* path : {"a.jsonl", "a.txt", "-"}) fuzz::parses([&] { check_lines(file, path); });
  for (const size_t most : {size_t{1}, size_t{7}, size_t{80}}) check_slug(file, most);
  const std::string text(file.substr(0, 200));
  if (text.find('\0') == std::string::npos) check_template(text, text);
  return 0;
}
