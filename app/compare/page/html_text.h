#pragma once

#include <map>
#include <string>
#include <string_view>

namespace cogvx::app {

// Any bytes as HTML text, also inside a quoted attribute: & < > " and ' escaped; what is not UTF-8,
// and control characters but line ends and tabs, replaced by U+FFFD.
std::string html(std::string_view text);
// The same as a piece whose direction of writing cannot touch what stands around it.
std::string html_piece(std::string_view text);

// Each {{name}} of `page` by its value; values are not looked into. std::logic_error for a name
// without a value, and for a value that is not asked for.
std::string fill_template(std::string_view page, const std::map<std::string, std::string>& values);

}  // namespace cogvx::app
