#pragma once

#include <cstdint>
#include <string>
#include <vector>

// What the command lines of all programs have in common.
namespace cogvx::app {

// Those after the program's name, --num_frames as --num-frames up to a "--"; the last one first, as
// CLI11 takes them.
std::vector<std::string> normalized_arguments(int argc, const char* const* argv);

// Names of an option as CLI11 takes them, "--output,-o".
std::string joined_names(const std::vector<std::string>& names);
// "  --output, -o FILE   the video", the help beginning at `column`; null value: a flag.
std::string help_row(const std::vector<std::string>& names, const char* value, const char* help,
                     size_t column);

// Throw UsageError naming the option.
int64_t parse_whole(const std::string& name, const std::string& text);
double parse_real(const std::string& name, const std::string& text);  // finite

// "unknown flag '--sede'; did you mean --seed? (see cogvx-gen --help)"
std::string unknown_flag_text(const std::string& word, const std::vector<std::string>& known,
                              const std::string& program);

}  // namespace cogvx::app
