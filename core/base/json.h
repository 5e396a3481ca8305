#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace cogvx {

// The one parser of all JSON this program reads; `label` names the text in messages. Throws
// DataError for a syntax error (with its byte), a key that stands twice in one object, nesting
// deeper than 64, more than a million values, anything but an object, and a Git LFS pointer.
nlohmann::json parse_json_object(std::string_view text, const std::string& label);

// For messages: a value as one line of valid UTF-8, cut to about 80 bytes.
std::string json_excerpt(const nlohmann::json& value);
// The same for a name: 'name', with control characters escaped as in JSON.
std::string quoted_excerpt(std::string_view name);

}  // namespace cogvx
