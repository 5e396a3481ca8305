#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cogvx {

// Throw UsageError for a prompt that is not UTF-8; `check_prompt` also for one with a NUL, which no
// prompt means. `name` says which prompt it is.
void check_utf8(std::string_view prompt, const std::string& name);
void check_prompt(std::string_view prompt, const std::string& name);

// Nothing but spaces and control characters, and not empty.
bool is_blank(std::string_view utf8);

// More letters of other scripts (Cyrillic, Chinese, Arabic...) than Latin ones. Punctuation,
// digits, symbols and emoji count for neither.
bool is_mostly_non_latin(std::string_view utf8);

// The text itself, or its beginning and how many bytes follow.
std::string excerpt(std::string_view utf8, size_t max_bytes);

}  // namespace cogvx
