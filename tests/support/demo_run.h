#pragma once

#include <string>

#include "tests/support/test_paths.h"

namespace cogvx::test {

inline std::string demo_model() { return (source_dir() / "configs" / "demo").string(); }

inline constexpr char kDemoPrompt[] = "a green square moves up on a white background";

// What --progress json says when the fourth step begins.
inline constexpr char kFourthStep[] = R"("done":3,"part":0.0,"stage":"denoise")";

}  // namespace cogvx::test
