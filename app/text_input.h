#pragma once

#include <cstddef>
#include <string>

namespace cogvx::app {

// All of a text file or pipe, or of standard input where the path is "-". `name` says in messages
// what was asked for. Throws DataError; UsageError where it has more than max_bytes (whole MiB).
std::string read_text(const std::string& path, const std::string& name, size_t max_bytes);

// Whether reading it again would not give the same: standard input, a pipe.
bool is_read_once(const std::string& path);

}  // namespace cogvx::app
