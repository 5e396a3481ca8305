#pragma once

#include <string>
#include <string_view>

namespace cogvx {

// Throws DataError when the normalisation rules inside a serialized sentencepiece model
// (spiece.model) lead outside their own tables: sentencepiece follows them unchecked and would read
// foreign memory.
void check_charsmaps(std::string_view model, const std::string& label);

}  // namespace cogvx
