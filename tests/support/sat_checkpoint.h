#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/tiny_checkpoint.h"
#include "tests/support/torch_file.h"

namespace cogvx::test {

// Changes the tensors of a SAT file before it is written.
using Change = std::function<void(std::vector<SavedTensor>& tensors)>;

// Writes one component ("transformer" or "vae") of a tiny checkpoint under the names of the
// original checkpoints: the table `variant` of tests/goldens/sat_names.json read from diffusers to
// SAT, with the numbers that write_tiny_checkpoint gives `checkpoint`.
void write_sat_file(const std::filesystem::path& path, const char* component,
                    const std::string& variant, const std::string& checkpoint, StoredDtype dtype,
                    const Change& change = {});

}  // namespace cogvx::test
