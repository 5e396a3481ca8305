#pragma once

#include <filesystem>
#include <string>

namespace cogvx::io {

// ASCII letters only.
std::string lower_case(std::string text);

// The path in single quotes.
std::string quoted(const std::filesystem::path& path);

// `'<path>': <problem>: <strerror>; <cure>`.
std::string output_error_text(const std::filesystem::path& path, const std::string& problem,
                              int error_number);
// OutputError with that text.
[[noreturn]] void throw_output_error(const std::filesystem::path& path, const std::string& problem,
                                     int error_number);

}  // namespace cogvx::io
