#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Names of outputs from templates such as "{index}-{slug}.mp4". Knows no ATen.
namespace cogvx::app {

// Of a video, what a template may use.
struct NameValues {
  int64_t index = 1;  // from 1, in the whole batch
  int64_t count = 1;  // of the whole batch: its digits are the width of {index}
  uint64_t seed = 0;
  std::string prompt;
};

// The template with its values, in which nothing is looked for again; "{{" and "}}" are braces. A
// {slug} is cut so that the file's name has room for the extensions and temporary endings of what
// lies beside it. `flag` says whose value it is. Throws UsageError for a brace without its like and
// for an unknown name.
std::string expand_name(const std::string& pattern, const NameValues& values,
                        const std::string& flag);
// Whether `name`, such as "seed", stands in the template; false for one that is broken.
bool name_uses(const std::string& pattern, const std::string& name);

// A prompt as a part of a file name, of 1 to max_bytes bytes: letters and digits of any script in
// lower case, whole, and single dashes between them; never a dash at either end.
std::string slug_of(std::string_view prompt, size_t max_bytes);

}  // namespace cogvx::app
