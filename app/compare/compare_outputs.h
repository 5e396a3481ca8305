#pragma once

#include "app/compare/compare_options.h"
#include "app/compare/comparison.h"

namespace cogvx::app {

// To be asked before anything is read. Throws UsageError for a file that exists without
// --overwrite, that is an input or lies in one, or that is named twice; OutputError where it cannot
// be written.
void check_outputs(const CompareOptions& options);
// Throws UsageError naming an output that what REF holds does not have.
void check_outputs_apply(const CompareOptions& options, Kind kind);

}  // namespace cogvx::app
