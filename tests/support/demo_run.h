#pragma once

#include <string>

#include "tests/support/test_paths.h"

namespace cogvx::test {

inline std::string demo_model() { return (source_dir() / "configs" / "demo").string(); }

inline constexpr char kDemoPrompt[] = "a green square moves up on a white background";

}  // namespace cogvx::test
