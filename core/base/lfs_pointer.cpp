#include "core/base/lfs_pointer.h"

#include "core/base/errors.h"

namespace cogvx {

void refuse_lfs_pointer(std::string_view text, const std::string& label) {
  if (text.starts_with("version https://git-lfs"))
    throw DataError(label +
                    ": is a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'");
}

}  // namespace cogvx
