#pragma once

#include <string>
#include <string_view>

namespace cogvx {

// Throws DataError when `text`, the start of the file `label`, is what Git leaves in place of a
// large file that was not fetched.
void refuse_lfs_pointer(std::string_view text, const std::string& label);

}  // namespace cogvx
