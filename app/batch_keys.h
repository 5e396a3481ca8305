#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/options.h"

namespace cogvx::app {

// What a line of a batch says, over the options of the whole batch. Its keys are the names of the
// flags that a single video may differ in, with dashes or underscores. Throws DataError
// "<label>: ..." for any other key and for a wrong value.
void apply_line(const nlohmann::json& values, const std::string& label, Options& options);

}  // namespace cogvx::app
